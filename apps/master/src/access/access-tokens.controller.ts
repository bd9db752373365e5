import { randomUUID } from 'node:crypto';
import { Controller } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, newToken, secretHash } from '#model';
import { DataSource, MoreThan } from 'typeorm';
import { AccessTokenRow } from '../database/entities.js';
import { credentialEvent } from '../events/event-kinds.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { decodeCursor, type Page, toPage, UUID } from '../http/paging.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { Writes } from '../writes/writes.js';
import {
  type AccessTokenView,
  createAccessToken,
  deleteAccessToken,
  type IssuedAccessTokenView,
  listAccessTokens,
} from './access-tokens.endpoints.js';
import { AccessTokens } from './access-tokens.js';
import { CurrentCaller } from './caller.decorator.js';

@Controller()
export class AccessTokensController {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
    private readonly tokens: AccessTokens,
  ) {}

  @Route(createAccessToken)
  create(
    @Input() { body }: InputOf<typeof createAccessToken>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuedAccessTokenView>> {
    return this.writes.run(caller, async (tx) => {
      const token = newToken('hgt');
      const id = randomUUID();
      await tx.manager.insert(AccessTokenRow, {
        id,
        name: body.name,
        role: body.role,
        tokenHash: secretHash(token),
        createdBy: caller.actor,
        expiresAt: body.expiresAt ? new Date(body.expiresAt) : null,
      });
      const view = viewOf(await tx.manager.findOneByOrFail(AccessTokenRow, { id }));
      tx.audit({ action: 'access-token.create', target: `access-token/${id}`, after: view });
      tx.event(credentialEvent('credential.issued', 'access-token', view));
      return created({ ...view, token }, `/v1/access-tokens/${id}`);
    });
  }

  @Route(listAccessTokens)
  async list(@Input() { query }: InputOf<typeof listAccessTokens>): Promise<Answer<Page<AccessTokenView>>> {
    const after = decodeCursor(query.cursor, 1, [UUID]);
    const rows = await this.source.manager.find(AccessTokenRow, {
      where: after ? { id: MoreThan(after[0] ?? '') } : {},
      order: { id: 'ASC' },
      take: query.limit + 1,
    });
    return ok(toPage(rows, query.limit, (row) => [row.id], viewOf));
  }

  @Route(deleteAccessToken)
  async delete(
    @Input() { params }: InputOf<typeof deleteAccessToken>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    const answer = await this.writes.run(caller, async (tx) => {
      const row = await tx.manager.findOneBy(AccessTokenRow, { id: params.token });
      if (!row) throw fail('not_found', `there is no access token "${params.token}"`);
      await tx.manager.delete(AccessTokenRow, { id: row.id });
      tx.audit({ action: 'access-token.delete', target: `access-token/${row.id}`, before: viewOf(row) });
      tx.event(credentialEvent('credential.revoked', 'access-token', viewOf(row)));
      return noContent();
    });
    this.tokens.forget();
    return answer;
  }
}

function viewOf(row: AccessTokenRow): AccessTokenView {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    expiresAt: row.expiresAt?.toISOString() ?? null,
  };
}
