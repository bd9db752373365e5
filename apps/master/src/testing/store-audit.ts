import type pg from 'pg';
import { expect } from 'vitest';
import { type ArtifactStore, deltaName, type Head, headName, LIMITS, TrustedKeys, verifyHead } from '#artifacts';
import { signer } from './publishing-master.js';

/** Checks that a store has every revision up to its head, byte by byte as in the database, and returns the head. */
export async function auditStore(
  store: ArtifactStore,
  pool: pg.Pool,
  environment = 'prod',
  publicKey = signer.publicKey,
): Promise<Head> {
  const object = await store.get(headName(environment), LIMITS.headBytes);
  if (!object) throw new Error('the store has no head');
  const head = verifyHead(object.bytes, environment, new TrustedKeys([publicKey]));
  const { rows } = await pool.query<{ revision: string; bytes: Buffer; hash: Buffer; root: Buffer }>(
    'SELECT revision, bytes, hash, root FROM revision WHERE environment_id = $1 AND revision <= $2 ORDER BY revision',
    [environment, head.revision],
  );
  expect(rows).toHaveLength(head.revision);
  for (const { revision, bytes } of rows) {
    const delta = await store.get(deltaName(environment, Number(revision)), LIMITS.bodyBytes);
    expect(delta?.bytes.equals(bytes), `delta ${revision}`).toBe(true);
  }
  const last = rows.at(-1);
  if (last) expect([head.hash, head.root]).toEqual([last.hash.toString('hex'), last.root.toString('hex')]);
  return head;
}
