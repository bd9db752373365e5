import { Controller } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { lineOfText } from '#model';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { endpoint, Input, type InputOf, OPERATORS, Route } from '../http/endpoint.js';
import { decodeCursor, pageOf, pageQuery, type Page, toPage } from '../http/paging.js';
import { type Answer, ok } from '../http/request.js';

const auditView = z
  .object({
    id: z.string(),
    at: z.iso.datetime(),
    actor: z.string(),
    role: z.string(),
    action: z.string(),
    target: z.string(),
    before: z.unknown().nullable(),
    after: z.unknown().nullable(),
    requestId: z.string(),
    revisions: z.array(z.string()).meta({ description: 'Which revision of each chain carries the write: prod@184.' }),
  })
  .meta({ id: 'AuditLine' });
type AuditView = z.infer<typeof auditView>;

const filter = (what: string): z.ZodOptional<z.ZodString> => lineOfText(300).optional().meta({ description: what });

export const listAudit = endpoint({
  method: 'GET',
  path: '/audit',
  tag: 'access',
  summary: 'Who changed what, newest first',
  access: OPERATORS,
  query: z.strictObject({
    ...pageQuery,
    actor: filter('Name of the access token.'),
    action: filter('Like plan.create.'),
    target: filter('Like plan/gold.'),
  }),
  answers: { 200: pageOf(auditView) },
});

interface AuditRow {
  id: string;
  at: Date;
  actor: string;
  role: string;
  action: string;
  target: string;
  before: unknown;
  after: unknown;
  request_id: string;
  revisions: string[];
}

@Controller()
export class AuditController {
  constructor(@InjectDataSource() private readonly source: DataSource) {}

  @Route(listAudit)
  async list(@Input() { query }: InputOf<typeof listAudit>): Promise<Answer<Page<AuditView>>> {
    const after = decodeCursor(query.cursor, 1, [/^\d{1,18}$/]);
    const rows: AuditRow[] = await this.source.query(
      `SELECT a.*, ARRAY(
         SELECT r.environment_id || '@' || r.revision FROM revision r JOIN chain c USING (environment_id)
         WHERE r.xids @> ARRAY[a.xid] AND (c.xid_floor_at IS NULL OR (r.revision > c.xid_floor) = (a.at > c.xid_floor_at)) ORDER BY 1
       ) AS revisions
       FROM audit a
       WHERE ($1::bigint IS NULL OR a.id < $1) AND ($2::text IS NULL OR a.actor = $2) AND ($3::text IS NULL OR a.action = $3) AND ($4::text IS NULL OR a.target = $4)
       ORDER BY a.id DESC LIMIT $5`,
      [after?.[0] ?? null, query.actor ?? null, query.action ?? null, query.target ?? null, query.limit + 1],
    );
    return ok(toPage(rows, query.limit, (row) => [row.id], viewOf));
  }
}

function viewOf(row: AuditRow): AuditView {
  const { request_id: requestId, at, ...rest } = row;
  return {
    id: rest.id,
    at: at.toISOString(),
    actor: rest.actor,
    role: rest.role,
    action: rest.action,
    target: rest.target,
    before: rest.before,
    after: rest.after,
    requestId,
    revisions: rest.revisions,
  };
}
