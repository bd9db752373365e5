import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import { releaseInputOf } from './release-input.js';
import {
  createRelease,
  diffReleases,
  getRelease,
  listReleases,
  type ReleaseDiff,
  type ReleaseMade,
  type ReleaseSummary,
  type ReleaseView,
} from './releases.endpoints.js';
import { ReleasesService } from './releases.service.js';

@Controller()
export class ReleasesController {
  constructor(private readonly releases: ReleasesService) {}

  @Route(createRelease)
  create(@Input() input: InputOf<typeof createRelease>, @CurrentCaller() caller: Caller): Promise<Answer<ReleaseMade>> {
    return this.releases.create(caller, input.params.api, releaseInputOf(input.body, input.query));
  }

  @Route(listReleases)
  list(@Input() { params, query }: InputOf<typeof listReleases>): Promise<Answer<Page<ReleaseSummary>>> {
    return this.releases.list(params.api, query);
  }

  @Route(diffReleases)
  diff(@Input() { params, query }: InputOf<typeof diffReleases>): Promise<Answer<ReleaseDiff>> {
    return this.releases.diff(params.api, query.from, query.to);
  }

  @Route(getRelease)
  get(@Input() { params }: InputOf<typeof getRelease>): Promise<Answer<ReleaseView>> {
    return this.releases.get(params.api, params.digest);
  }
}
