import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { Signer } from '#artifacts';
import { open, seal, sealerOf } from '../secrets/sealed.js';

const PURPOSE = 'secrets of webhooks';
const PREFIX = 'whsec_';
/** Standard Webhooks asks for 24 to 64. */
const BYTES = 32;
const [LEAST_BYTES, MOST_BYTES] = [24, 64];

/** A secret that somebody brings along. */
export const webhookSecret = z.string().refine((text) => {
  const bytes = bytesOf(text);
  const isWhole = PREFIX + bytes.toString('base64') === text; // decoding leaves out what is no base64
  return isWhole && bytes.length >= LEAST_BYTES && bytes.length <= MOST_BYTES;
}, `must be ${PREFIX} and the base64 of ${LEAST_BYTES} to ${MOST_BYTES} random bytes`);

export interface SealedSecret {
  id: string;
  sealed: Buffer;
  sealedBy: string;
  createdAt: Date;
  expiresAt: Date | null;
}

/** Of a webhook `w`, those that are in force, the newest first. */
export const SECRETS = `(
    SELECT coalesce(json_agg(json_build_object('id', s.id, 'sealed', encode(s.sealed, 'base64'), 'sealedBy', s.sealed_by, 'createdAt', s.created_at,
      'expiresAt', s.expires_at) ORDER BY s.created_at DESC), '[]')
    FROM webhook_secret s WHERE s.webhook_id = w.id AND (s.expires_at IS NULL OR s.expires_at > now()))`;

/** As SECRETS has it. */
export function secretsOf(
  rows: { id: string; sealed: string; sealedBy: string; createdAt: string; expiresAt: string | null }[],
): SealedSecret[] {
  return rows.map((row) => ({
    ...row,
    sealed: Buffer.from(row.sealed, 'base64'),
    createdAt: new Date(row.createdAt),
    expiresAt: row.expiresAt === null ? null : new Date(row.expiresAt),
  }));
}

/**
 * @param given default: a new one
 * @returns the secret, which is kept sealed: to sign by it takes the secret itself
 */
export async function addSecret(
  manager: EntityManager,
  webhook: string,
  signer: Signer,
  given?: string,
): Promise<string> {
  const [id, bytes] = [randomUUID(), given === undefined ? randomBytes(BYTES) : bytesOf(given)];
  await manager.query('INSERT INTO webhook_secret (id, webhook_id, sealed, sealed_by) VALUES ($1, $2, $3, $4)', [
    id,
    webhook,
    seal(bytes, PURPOSE, id, signer),
    sealerOf(signer),
  ]);
  return PREFIX + bytes.toString('base64');
}

/** @returns null: it was sealed under another signing key */
export function openSecret({ id, sealed, sealedBy }: SealedSecret, signer: Signer): Buffer | null {
  return sealedBy === sealerOf(signer) ? open(sealed, PURPOSE, id, signer) : null;
}

/** Whether requests are signed by a secret, and by no newer one. @param secrets as SECRETS has them */
export function isSignedBy([newest]: readonly SealedSecret[], secret: string, signer: Signer): boolean {
  const bytes = newest && openSecret(newest, signer);
  const given = bytesOf(secret);
  return bytes?.length === given.length && timingSafeEqual(bytes, given);
}

function bytesOf(secret: string): Buffer {
  return Buffer.from(secret.slice(PREFIX.length), 'base64');
}

/** The headers of Standard Webhooks. @param seconds since 1970 @param secrets one signature of each, the newest first */
export function signedHeaders(
  id: string,
  seconds: number,
  body: string,
  secrets: readonly Buffer[],
): Record<string, string> {
  const signatures = secrets.map(
    (secret) => `v1,${createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest('base64')}`,
  );
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': signatures.join(' ') };
}
