import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import {
  deletePlacement,
  getPlacement,
  listPlacements,
  type PlacementView,
  placeMany,
  putPlacement,
} from './placements.endpoints.js';
import { PlacementsService } from './placements.service.js';

@Controller()
export class PlacementsController {
  constructor(private readonly placements: PlacementsService) {}

  @Route(listPlacements)
  list(@Input() { query }: InputOf<typeof listPlacements>): Promise<Answer<Page<PlacementView>>> {
    return this.placements.list(query);
  }

  @Route(getPlacement)
  get(@Input() { params }: InputOf<typeof getPlacement>): Promise<Answer<PlacementView>> {
    return this.placements.get(params);
  }

  @Route(putPlacement)
  put(
    @Input() { params, body }: InputOf<typeof putPlacement>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<PlacementView>> {
    return this.placements.put(caller, params, body);
  }

  @Route(deletePlacement)
  delete(
    @Input() { params, query }: InputOf<typeof deletePlacement>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.placements.delete(caller, params, query.reason);
  }

  @Route(placeMany)
  placeMany(@Input() { body }: InputOf<typeof placeMany>, @CurrentCaller() caller: Caller): Promise<Answer<object>> {
    return this.placements.placeMany(caller, body);
  }
}
