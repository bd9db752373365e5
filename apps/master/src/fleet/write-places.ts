import type { ReplicaStatus } from '#model';
import { jsonbText } from '../database/jsonb.js';
import type { Query } from '../publishing/options.js';
import type { ConnectedReplica } from './connected-replica.js';

export interface PlaceWritten {
  replica: ConnectedReplica;
  /** the connection has ended */
  gone: boolean;
  /** it has said something that is not written */
  heard: boolean;
  revision: number | null;
  lagMs: number | null;
  /** the newest; null: none */
  status: ReplicaStatus | null;
}

/** A connection that does not speak for its replica any more. */
export interface Superseded {
  replica: ConnectedReplica;
  /** there is a newer connection; or it was removed, or has joined again */
  reason: 'replaced' | 'unauthenticated';
}

/** @returns connections that do not speak for their replicas any more: nothing was written of what they said */
export async function writePlaces(query: Query, instance: string, places: PlaceWritten[]): Promise<Superseded[]> {
  const rows = await query<{ id: string; known: boolean }>(WRITE, [
    instance,
    places.map(({ replica }) => replica.id),
    places.map(({ replica }) => replica.tokenHash),
    places.map(({ replica }) => replica.since),
    places.map(({ gone }) => gone),
    places.map(({ heard }) => heard),
    places.map(({ revision }) => revision),
    places.map(({ lagMs }) => lagMs),
    places.map(({ status }) => status && jsonbText(status)),
  ]);
  const refused = new Map(rows.map(({ id, known }) => [id, known ? 'replaced' : 'unauthenticated'] as const));
  return places.flatMap(({ replica }) => {
    const reason = refused.get(replica.id);
    return reason ? [{ replica, reason }] : [];
  });
}

const WRITE = `
  WITH said AS (
    SELECT * FROM unnest($2::text[], $3::bytea[], $4::timestamptz[], $5::boolean[], $6::boolean[], $7::bigint[], $8::float8[], $9::jsonb[])
      AS s (id, token_hash, since, gone, heard, revision, lag_ms, status)
  ), done AS (
    UPDATE replica r SET
      connected_instance = CASE WHEN s.gone THEN NULL ELSE $1 END,
      connected_since = s.since,
      revision = coalesce(s.revision, r.revision),
      position_at = CASE WHEN s.revision IS NULL OR s.revision = r.revision THEN r.position_at ELSE now() END,
      lag_ms = CASE WHEN s.revision IS NULL THEN r.lag_ms ELSE s.lag_ms END,
      epoch = coalesce((s.status->>'epoch')::integer, r.epoch),
      status = coalesce(s.status, r.status),
      state_since = CASE WHEN s.status IS NULL OR s.status->>'state' = r.status->>'state' THEN r.state_since ELSE now() END,
      reported_at = CASE WHEN s.heard THEN now() ELSE r.reported_at END
    FROM said s WHERE r.id = s.id AND r.token_hash = s.token_hash AND (r.connected_since IS NULL OR r.connected_since <= s.since)
    RETURNING r.id
  )
  SELECT s.id, EXISTS (SELECT FROM replica r WHERE r.id = s.id AND r.token_hash = s.token_hash) AS known
  FROM said s WHERE s.id NOT IN (SELECT id FROM done)`;
