import { Controller } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource } from 'typeorm';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { AGE_AND_ID, decodeCursor, type Page, toPage } from '../http/paging.js';
import { type Answer, ok } from '../http/request.js';
import { listRestoreItems, listRestores, type RestoreItemView, type RestoreView } from './restores.endpoints.js';

interface RestoreRow {
  id: string;
  environment_id: string;
  began_at: Date;
  at: string;
  finished_at: Date | null;
  source: string;
  from_revision: string;
  to_revision: string;
  missing_from: string | null;
  missing_to: string | null;
  dropped_from: string | null;
  dropped_to: string | null;
  theirs_epoch: number;
  revocations: number;
  changed_back: number;
  may_be_withdrawn: string[];
}

interface ItemRow {
  id: string;
  kind: 'kept' | 'changed';
  what: string;
  target: string;
  detail: unknown;
}

@Controller()
export class RestoresController {
  constructor(@InjectDataSource() private readonly source: DataSource) {}

  @Route(listRestores)
  async list(@Input() { query }: InputOf<typeof listRestores>): Promise<Answer<Page<RestoreView>>> {
    const after = decodeCursor(query.cursor, 2, AGE_AND_ID);
    const rows: RestoreRow[] = await this.source.query(
      `SELECT *, began_at::text AS at, ${MAY_BE_WITHDRAWN} AS may_be_withdrawn FROM restore
       WHERE ($1::text IS NULL OR environment_id = $1) AND ($2::timestamptz IS NULL OR (began_at, id) < ($2, $3::uuid))
       ORDER BY began_at DESC, id DESC LIMIT $4`,
      [query.environment ?? null, after?.[0] ?? null, after?.[1] ?? null, query.limit + 1],
    );
    return ok(toPage(rows, query.limit, ({ at, id }) => [at, id], restoreOf));
  }

  @Route(listRestoreItems)
  async items(@Input() { params, query }: InputOf<typeof listRestoreItems>): Promise<Answer<Page<RestoreItemView>>> {
    const found: unknown[] = await this.source.query('SELECT FROM restore WHERE id = $1', [params.restore]);
    if (found.length === 0) throw fail('not_found', `there was no restore "${params.restore}"`);
    const after = decodeCursor(query.cursor, 1, [/^\d{1,18}$/]);
    const rows: ItemRow[] = await this.source.query(
      `SELECT id, kind, what, target, detail FROM restore_item
       WHERE restore_id = $1 AND kind <> 'revocation' AND ($2::text IS NULL OR kind = $2) AND id > coalesce($3::bigint, 0) ORDER BY id LIMIT $4`,
      [params.restore, query.kind ?? null, after?.[0] ?? null, query.limit + 1],
    );
    return ok(
      toPage(
        rows,
        query.limit,
        ({ id }) => [id],
        ({ kind, what, target, detail }) => ({ kind, what, target, before: detail }),
      ),
    );
  }
}

/** They are not on the chain: nothing but the database that was lost knows which of them it had withdrawn. */
const MAY_BE_WITHDRAWN = `ARRAY(
  SELECT 'access-token/' || t.id || ' ' || t.name FROM access_token t
  WHERE t.created_at < restore.began_at AND (t.expires_at IS NULL OR t.expires_at > now())
  UNION ALL
  SELECT 'join-token/' || j.id FROM join_token j JOIN region g ON g.id = j.region_id
  WHERE g.environment_id = restore.environment_id AND j.created_at < restore.began_at AND j.expires_at > now() AND j.uses < j.max_uses
  UNION ALL
  SELECT 'replica/' || r.id FROM replica r JOIN region g ON g.id = r.region_id
  WHERE g.environment_id = restore.environment_id AND r.joined_at < restore.began_at
  ORDER BY 1 LIMIT 100
)`;
const NOTE =
  'access tokens, join tokens and replicas that were withdrawn or removed after the backup are valid again: look through mayBeWithdrawn, and withdraw them once more';

function restoreOf(row: RestoreRow): RestoreView {
  return {
    id: row.id,
    environment: row.environment_id,
    beganAt: row.began_at.toISOString(),
    finishedAt: row.finished_at?.toISOString() ?? null,
    source: row.source,
    adopted: { from: Number(row.from_revision) + 1, to: Number(row.to_revision) },
    missing: spanOf(row.missing_from, row.missing_to),
    dropped: spanOf(row.dropped_from, row.dropped_to),
    epoch: row.theirs_epoch,
    revocationsKept: row.revocations,
    changedBack: row.changed_back,
    mayBeWithdrawn: row.may_be_withdrawn,
    note: NOTE,
  };
}

function spanOf(from: string | null, to: string | null): { from: number; to: number } | null {
  return from === null || to === null ? null : { from: Number(from), to: Number(to) };
}
