import { Controller } from '@nestjs/common';
import { fail } from '#model';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { decodeCursor, type Page, toPage } from '../http/paging.js';
import { type Answer, ok } from '../http/request.js';
import { type ChainHead, ChainReader, type RevisionDetail, type RevisionSummary } from '../publishing/index.js';
import { EnvironmentsService } from './environments.service.js';
import { getHead, getRevision, listRevisions } from './revisions.endpoints.js';

const CURSOR = [/^\d{1,15}$/];

@Controller()
export class RevisionsController {
  constructor(
    private readonly chains: ChainReader,
    private readonly environments: EnvironmentsService,
  ) {}

  @Route(getHead)
  async head(@Input() { params }: InputOf<typeof getHead>): Promise<Answer<ChainHead>> {
    return ok(await this.headOf(params.environment));
  }

  @Route(listRevisions)
  async list(@Input() { params, query }: InputOf<typeof listRevisions>): Promise<Answer<Page<RevisionSummary>>> {
    const before = decodeCursor(query.cursor, 1, CURSOR)?.[0];
    await this.headOf(params.environment);
    const rows = await this.chains.list(
      params.environment,
      query.limit + 1,
      before === undefined ? undefined : Number(before),
    );
    return ok(
      toPage(
        rows,
        query.limit,
        (row) => [String(row.revision)],
        (row) => row,
      ),
    );
  }

  @Route(getRevision)
  async get(
    @Input() { params: { environment, revision } }: InputOf<typeof getRevision>,
  ): Promise<Answer<RevisionDetail>> {
    const head = await this.headOf(environment);
    const detail = await this.chains.revision(environment, revision);
    if (detail) return ok(detail, detail.hash);
    throw fail('not_found', `"${environment}" has no revision ${revision}; it is at ${head.revision}`);
  }

  private async headOf(environment: string): Promise<ChainHead> {
    await this.environments.get(environment); // a chain outlives its environment
    const head = await this.chains.head(environment);
    if (!head) throw fail('not_found', `the environment "${environment}" has no chain yet`);
    return head;
  }
}
