import { hash } from 'node:crypto';
import type { Query } from '../options.js';

/** The advisory lock that whoever publishes an environment holds: 64 bits of a hash, so that no two environments share one. */
export function lockOf(environment: string): string {
  return hash('sha256', `heliograph publisher ${environment}`, 'buffer').readBigInt64BE(0).toString();
}

/** Which of PostgreSQL's processes holds which of these locks: that of a session which is gone is nobody's. */
export async function lockHolders(query: Query): Promise<ReadonlyMap<string, number>> {
  const rows = await query<{ lock: string; pid: number }>(HELD);
  return new Map(rows.map(({ lock, pid }) => [lock, pid]));
}

/** A lock of one number shows as its two halves, and `objsubid` 1. */
const HELD = `
  SELECT (classid::bigint << 32 | objid::bigint)::text AS lock, pid FROM pg_locks
  WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
