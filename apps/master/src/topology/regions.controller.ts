import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import { createRegion, deleteRegion, getRegion, listRegions, type RegionView } from './regions.endpoints.js';
import { RegionsService } from './regions.service.js';

@Controller()
export class RegionsController {
  constructor(private readonly regions: RegionsService) {}

  @Route(createRegion)
  create(
    @Input() { body }: InputOf<typeof createRegion>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<RegionView>> {
    return this.regions.create(caller, body);
  }

  @Route(listRegions)
  list(@Input() { query }: InputOf<typeof listRegions>): Promise<Answer<Page<RegionView>>> {
    return this.regions.list(query);
  }

  @Route(getRegion)
  get(@Input() { params }: InputOf<typeof getRegion>): Promise<Answer<RegionView>> {
    return this.regions.get(params.region);
  }

  @Route(deleteRegion)
  delete(
    @Input() { params }: InputOf<typeof deleteRegion>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.regions.delete(caller, params.region);
  }
}
