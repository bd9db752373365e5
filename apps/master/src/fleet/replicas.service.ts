import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, type ReplicaStatus } from '#model';
import type { FieldFault } from '#platform';
import { DataSource, type EntityManager } from 'typeorm';
import { jsonbText } from '../database/jsonb.js';
import { decodeCursor, type Page, toPage } from '../http/paging.js';
import type { InputOf } from '../http/endpoint.js';
import { matchIfGiven } from '../http/preconditions.js';
import { type Answer, type Caller, noContent, ok } from '../http/request.js';
import { NumbersIntake } from '../promotions/numbers-intake.js';
import { Writes } from '../writes/writes.js';
import { CONNECTED, SILENT } from './fleet-sql.js';
import type { listReplicas, ReplicaInFull, ReplicaView } from './replicas.endpoints.js';

@Injectable()
export class ReplicasService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
    private readonly intake: NumbersIntake,
  ) {}

  /** A report is no business write: no audit, no marks, one statement. Hundreds of replicas send one every 5 s. */
  async report(replica: string, { numbers, ...status }: ReplicaStatus): Promise<Answer<undefined>> {
    const [, updated]: [unknown, number] = await this.source.query(REPORT, [
      replica,
      status.region,
      status.environment,
      jsonbText(status),
      status.replica,
      status.revision,
      status.lagMs,
    ]);
    if (updated === 0) throw await this.notItself(replica, status);
    if (numbers) await this.intake.take({ ...status, id: replica }, numbers);
    return noContent();
  }

  async list({
    limit,
    cursor,
    environment,
    region,
    state,
    connected,
  }: InputOf<typeof listReplicas>['query']): Promise<Answer<Page<ReplicaView>>> {
    const rows: Row[] = await this.source.query(
      `${SELECT} WHERE ($1::text IS NULL OR g.environment_id = $1) AND ($2::text IS NULL OR r.region_id = $2)
         AND ($3::text IS NULL OR r.id > $3) AND ($5::text IS NULL OR r.status->>'state' = $5) AND ($6::boolean IS NULL OR ${CONNECTED} = $6)
       ORDER BY r.id LIMIT $4`,
      [
        environment ?? null,
        region ?? null,
        decodeCursor(cursor, 1)?.[0] ?? null,
        limit + 1,
        state ?? null,
        connected ?? null,
      ],
    );
    return ok(toPage(rows, limit, (row) => [row.id], viewOf));
  }

  /** All of an environment, or of all of them, by region and name. */
  async all(environment: string | undefined): Promise<ReplicaView[]> {
    const rows: Row[] = await this.source.query(
      `${SELECT} WHERE $1::text IS NULL OR g.environment_id = $1 ORDER BY r.region_id, r.id`,
      [environment ?? null],
    );
    return rows.map(viewOf);
  }

  async get(id: string): Promise<Answer<ReplicaInFull>> {
    const row = await one(this.source.manager, id);
    return ok({ ...viewOf(row), status: row.status }, etagOf(row));
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      await tx.manager.query('SELECT FROM replica WHERE id = $1 FOR UPDATE', [id]);
      const row = await one(tx.manager, id);
      matchIfGiven(caller, etagOf(row));
      await tx.manager.query('DELETE FROM replica WHERE id = $1', [id]);
      const { region, environment, build } = row;
      tx.audit({ action: 'replica.delete', target: `replica/${id}`, before: { region, environment, build } });
      return noContent();
    });
  }

  /** The token says who reports: what the report says of that has to be the same. */
  private async notItself(replica: string, status: ReplicaStatus): Promise<Error> {
    const { id, region, environment } = await one(this.source.manager, replica);
    const fields: FieldFault[] = Object.entries({ replica: id, region, environment })
      .filter(([field, value]) => status[field as 'replica' | 'region' | 'environment'] !== value)
      .map(([field, value]) => ({ field, problem: 'is not that of the token', expected: `"${value}"` }));
    return fail('invalid_request', `${fields[0]?.field}: ${fields[0]?.problem}, which is ${fields[0]?.expected}`, {
      fields,
    });
  }
}

const REPORT = `
  UPDATE replica r SET status = $4, reported_at = now(), epoch = ($4::jsonb->>'epoch')::integer, revision = $6, lag_ms = $7,
    position_at = CASE WHEN r.revision = $6 THEN r.position_at ELSE now() END,
    state_since = CASE WHEN r.status->>'state' = $4::jsonb->>'state' THEN r.state_since ELSE now() END
  FROM region g
  WHERE r.id = $1 AND $5 = r.id AND r.region_id = $2 AND g.id = r.region_id AND g.environment_id = $3`;

interface Row {
  id: string;
  region: string;
  environment: string;
  build: string;
  joined_at: Date;
  connected: boolean;
  connected_instance: string | null;
  connected_since: Date | null;
  reported_at: Date | null;
  status: ReplicaStatus | null;
  state_since: Date | null;
  epoch: number | null;
  revision: string | null;
  lag_ms: number | null;
  silent: number | null;
  /** revision of the chain */
  head: string | null;
  behind_ms: number | null;
  root_matches: boolean | null;
}

const SELECT = `
  SELECT r.id, r.region_id AS region, g.environment_id AS environment, r.build, r.joined_at, r.reported_at, r.status, ${CONNECTED} AS connected,
         r.connected_instance, r.connected_since, r.state_since, r.epoch, r.revision, r.lag_ms, ${SILENT} AS silent, c.revision AS head,
         greatest(0, extract(epoch FROM now() - missing.issued_at) * 1000)::float8 AS behind_ms,
         encode(own.root, 'hex') = r.status->>'root' AS root_matches
  FROM replica r JOIN region g ON g.id = r.region_id LEFT JOIN chain c ON c.environment_id = g.environment_id
    LEFT JOIN revision missing ON missing.environment_id = g.environment_id AND missing.revision = r.revision + 1
    LEFT JOIN revision own ON own.environment_id = g.environment_id AND own.revision = (r.status->>'revision')::bigint`;

async function one(manager: EntityManager, id: string): Promise<Row> {
  const rows: Row[] = await manager.query(`${SELECT} WHERE r.id = $1`, [id]);
  if (!rows[0]) throw fail('not_found', `there is no replica "${id}"`);
  return rows[0];
}

/** A replica that joins again is another one; its reports are no changes. */
function etagOf(row: Row): string {
  return String(row.joined_at.getTime());
}

function viewOf(row: Row): ReplicaView {
  const { status } = row;
  const revision = row.revision === null ? null : Number(row.revision);
  const behind = revision === null ? null : Math.max(0, Number(row.head ?? 0) - revision);
  return {
    id: row.id,
    region: row.region,
    environment: row.environment,
    build: status?.build ?? row.build,
    joinedAt: row.joined_at.toISOString(),
    connected: row.connected,
    connectedTo: row.connected ? row.connected_instance : null,
    connectedSince: row.connected ? (row.connected_since?.toISOString() ?? null) : null,
    state: status?.state ?? null,
    stateSince: row.state_since?.toISOString() ?? null,
    source: status?.source ?? null,
    freshness: status?.freshness ?? null,
    epoch: row.epoch,
    revision,
    behind,
    behindMs: behind === 0 ? 0 : row.behind_ms,
    lagMs: row.lag_ms,
    rootMatches: row.root_matches,
    reportedAt: row.reported_at?.toISOString() ?? null,
    silentForSeconds: row.silent,
    nacks: status?.nacks.length ?? 0,
    throttle: status?.throttle ?? null,
    traffic: status?.traffic ?? null,
    lastError: status?.lastError ?? null,
  };
}
