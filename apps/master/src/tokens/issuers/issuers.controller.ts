import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../../http/endpoint.js';
import type { Page } from '../../http/paging.js';
import type { Answer, Caller } from '../../http/request.js';
import {
  createIssuer,
  deleteIssuer,
  getIssuer,
  type IssuerView,
  listIssuers,
  refreshIssuer,
  updateIssuer,
} from './issuers.endpoints.js';
import { IssuersService } from './issuers.service.js';

@Controller()
export class IssuersController {
  constructor(private readonly issuers: IssuersService) {}

  @Route(createIssuer)
  create(
    @Input() { params, body }: InputOf<typeof createIssuer>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuerView>> {
    return this.issuers.create(caller, params.environment, body);
  }

  @Route(listIssuers)
  list(@Input() { params, query }: InputOf<typeof listIssuers>): Promise<Answer<Page<IssuerView>>> {
    return this.issuers.list(params.environment, query);
  }

  @Route(getIssuer)
  get(@Input() { params }: InputOf<typeof getIssuer>): Promise<Answer<IssuerView>> {
    return this.issuers.get(params.environment, params.issuer);
  }

  @Route(updateIssuer)
  update(
    @Input() { params, body }: InputOf<typeof updateIssuer>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuerView>> {
    return this.issuers.update(caller, params.environment, params.issuer, body);
  }

  @Route(refreshIssuer)
  refresh(
    @Input() { params }: InputOf<typeof refreshIssuer>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuerView>> {
    return this.issuers.refresh(caller, params.environment, params.issuer);
  }

  @Route(deleteIssuer)
  delete(
    @Input() { params }: InputOf<typeof deleteIssuer>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.issuers.delete(caller, params.environment, params.issuer);
  }
}
