import { Readable } from 'node:stream';
import { Controller, Inject } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource } from 'typeorm';
import { CurrentCaller } from '../access/caller.decorator.js';
import type { MasterConfig } from '../config/config.js';
import { CONFIG } from '../config/tokens.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Answer, Caller } from '../http/request.js';
import { type ApplyAnswer, applyEndpoint, exportEndpoint, schemaEndpoint } from './apply.endpoints.js';
import { ApplyService } from './apply.service.js';
import { applySchema } from './apply-schema.js';
import { KINDS, mayRead } from './documents.js';
import { exportDocuments } from './export.js';

@Controller()
export class ApplyController {
  private exports = 0;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(CONFIG) private readonly config: MasterConfig,
    private readonly service: ApplyService,
  ) {}

  @Route(applyEndpoint)
  apply(
    @Input() { body }: InputOf<typeof applyEndpoint>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<ApplyAnswer>> {
    return this.service.apply(caller, body);
  }

  @Route(exportEndpoint)
  export(@Input() { query }: InputOf<typeof exportEndpoint>, @CurrentCaller() { role }: Caller): Answer<Readable> {
    // each keeps a connection of the pool for as long as its reader likes: writes need the others
    const most = Math.max(1, this.config.HELIO_DATABASE_POOL >> 2);
    if (this.exports >= most)
      throw fail('too_many_exports', `${most} exports are under way at this master`, {
        headers: { 'retry-after': '5' },
      });
    const kinds = KINDS.filter((kind) => mayRead(role, kind));
    const leftOut = KINDS.filter((kind) => !kinds.includes(kind));
    const body = Readable.from(exportDocuments(this.source, query.set ?? null, kinds));
    this.exports += 1;
    body.once('close', () => (this.exports -= 1));
    const headers = {
      'content-type': 'application/x-ndjson; charset=utf-8',
      ...(leftOut.length > 0 && { 'heliograph-left-out': leftOut.join(', ') }),
    };
    return { status: 200, body, headers };
  }

  @Route(schemaEndpoint)
  schema(): Answer<string> {
    const headers = { 'content-type': 'application/schema+json; charset=utf-8', 'cache-control': 'max-age=300' };
    return { status: 200, body: applySchema(), headers };
  }
}
