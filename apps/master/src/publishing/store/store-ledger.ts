import { decodeHeader, MAX_HEADER_BYTES, SEGMENT_FAN } from '#artifacts';
import type { Query } from '../options.js';

export interface LedgerSnapshot {
  revision: number;
  /** manifest and blobs */
  bytes: number;
  /** who signed it */
  keyId: Buffer;
}

export interface Progress {
  /** deltas up to here are not kept in the store, and not written again */
  deltaFloor: number;
  segmentFloor: number;
  /** every segment that ends up to here was made, or would have been too large */
  segmented: number;
  /** those that a head has named, the newest first; aged: how long each has been announced, in milliseconds */
  snapshots: (LedgerSnapshot & { aged: number })[];
}

/**
 * What PostgreSQL remembers of the artifact store, so that the store need not be listed, and so that what was removed is not
 * written again. Written by the leader of a term only; what comes late from a term that is over changes nothing.
 */
export class StoreLedger {
  constructor(
    private readonly query: Query,
    private readonly environment: string,
    private readonly epoch: number,
  ) {}

  async read(): Promise<Progress> {
    const [progress] = await this.query<{ delta_floor: string; segment_floor: string; segmented: string }>(
      'SELECT delta_floor, segment_floor, segmented FROM store_progress WHERE environment_id = $1',
      [this.environment],
    );
    const rows = await this.query<{ revision: string; bytes: string; key_id: Buffer; aged: number }>(
      `SELECT revision, bytes, key_id, (extract(epoch FROM clock_timestamp() - announced_at) * 1000)::float8 AS aged
       FROM store_snapshot WHERE environment_id = $1 ORDER BY revision DESC`,
      [this.environment],
    );
    const snapshots = rows.map(({ revision, bytes, key_id: keyId, aged }) => ({
      revision: Number(revision),
      bytes: Number(bytes),
      keyId,
      aged,
    }));
    return {
      deltaFloor: Number(progress?.delta_floor ?? 0),
      segmentFloor: Number(progress?.segment_floor ?? 0),
      segmented: Number(progress?.segmented ?? 0),
      snapshots,
    };
  }

  /** A head names it now. */
  async announced({ revision, bytes, keyId }: LedgerSnapshot): Promise<void> {
    await this.query(
      `INSERT INTO store_snapshot (environment_id, revision, bytes, key_id) SELECT $1, $3, $4, $5 WHERE ${IN_OFFICE}
       ON CONFLICT DO NOTHING`,
      [this.environment, this.epoch, revision, bytes, keyId],
    );
  }

  async dropSnapshots(revisions: readonly number[]): Promise<void> {
    await this.query(
      `DELETE FROM store_snapshot WHERE environment_id = $1 AND revision = ANY ($3::bigint[]) AND ${IN_OFFICE}`,
      [this.environment, this.epoch, revisions],
    );
  }

  /** Floors go up only, as nothing comes back. */
  async raiseFloors(deltas: number, segments: number): Promise<void> {
    await this.query(
      `INSERT INTO store_progress AS p (environment_id, delta_floor, segment_floor) SELECT $1, $3::bigint, $4::bigint WHERE ${IN_OFFICE}
       ON CONFLICT (environment_id) DO UPDATE SET delta_floor = greatest(p.delta_floor, excluded.delta_floor),
         segment_floor = greatest(p.segment_floor, excluded.segment_floor)`,
      [this.environment, this.epoch, deltas, segments],
    );
  }

  async segmented(revision: number): Promise<void> {
    await this.query(
      `INSERT INTO store_progress (environment_id, segmented) SELECT $1, $3::bigint WHERE ${IN_OFFICE}
       ON CONFLICT (environment_id) DO UPDATE SET segmented = excluded.segmented`,
      [this.environment, this.epoch, revision],
    );
  }

  /** Of snapshots and segments nothing is left in the store, or nothing of this chain. */
  async lost(): Promise<void> {
    await this.query(`DELETE FROM store_snapshot WHERE environment_id = $1 AND ${IN_OFFICE}`, [
      this.environment,
      this.epoch,
    ]);
    await this.segmented(0);
  }

  /** The store begins with the snapshot of this revision: what is older is not in it. */
  async beganAt(revision: number): Promise<void> {
    const segmented = revision - (revision % SEGMENT_FAN);
    await this.raiseFloors(revision, segmented);
    await this.segmented(segmented);
  }

  /** Whether the term that writes here is still the newest one. */
  async inOffice(): Promise<boolean> {
    const rows = await this.query(`SELECT 1 WHERE ${IN_OFFICE}`, [this.environment, this.epoch]);
    return rows.length > 0;
  }
}

const IN_OFFICE = 'EXISTS (SELECT 1 FROM chain WHERE chain.environment_id = $1 AND chain.epoch = $2)';

/** Bytes of the revisions after `after` and up to `upTo`, and how many of them there are in the database. */
export async function deltasBetween(
  query: Query,
  environment: string,
  after: number,
  upTo: number,
): Promise<{ bytes: number; count: number }> {
  const [row] = await query<{ bytes: string; count: string }>(
    `SELECT coalesce(sum(octet_length(bytes)), 0) AS bytes, count(*) AS count FROM revision
     WHERE environment_id = $1 AND revision > $2 AND revision <= $3`,
    [environment, after, upTo],
  );
  return { bytes: Number(row?.bytes ?? 0), count: Number(row?.count ?? 0) };
}

/** Who signed the oldest revision that the database has; null: there is none. */
export async function firstKeyOf(query: Query, environment: string): Promise<Buffer | null> {
  const [row] = await query<{ header: Buffer }>(
    `SELECT substring(bytes FOR ${MAX_HEADER_BYTES}) AS header FROM revision WHERE environment_id = $1 ORDER BY revision LIMIT 1`,
    [environment],
  );
  return row ? decodeHeader(row.header).header.keyId : null;
}
