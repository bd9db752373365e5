import { createPublicKey, hash, type JsonWebKey } from 'node:crypto';
import { z } from 'zod';
import { credentialBounds, encodeJson, encodeText } from './records.js';
import { parse as parseUuid } from './uuid.js';

/**
 * How far the clocks of issuer, master and replica may be apart: a token is taken so long before it begins and after it has
 * expired. A revoked one has to be remembered until then.
 */
export const TOKEN_SKEW_SECONDS = 60;

/** How many bytes of a hash name a client, or a revoked token, on the chain. */
export const TOKEN_ID_BYTES = 16;

/** By which a token may be signed: those of a private key only, so that no replica can make a token. */
export const TOKEN_ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
] as const;
export const tokenAlgorithm = z.enum(TOKEN_ALGORITHMS, `must be one of ${TOKEN_ALGORITHMS.join(', ')}`);
export type TokenAlgorithm = z.infer<typeof tokenAlgorithm>;

const CURVES: Partial<Record<TokenAlgorithm, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };
const RSA_BITS = { least: 2048, most: 8192 };

const base64url = z.string().regex(/^[A-Za-z0-9_-]{1,1400}$/, 'must be base64url without padding');
/** At most four bytes: what a verification costs grows with it, and nobody has a larger one. */
const exponent = base64url.max(6, 'must have at most four bytes');
const named = {
  /** absent where the issuer names none; then it has to be the only one of its `alg` */
  kid: z.string().min(1).max(256).optional(),
  alg: tokenAlgorithm,
  use: z.literal('sig').optional(),
};

/** A public key that tokens are verified by, with these members only: none of a private key. */
export const publicJwk = z
  .discriminatedUnion('kty', [
    z.strictObject({
      kty: z.literal('EC'),
      crv: z.enum(['P-256', 'P-384', 'P-521']),
      x: base64url,
      y: base64url,
      ...named,
    }),
    z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: base64url, ...named }),
    z.strictObject({ kty: z.literal('RSA'), n: base64url, e: exponent, ...named }),
  ])
  .superRefine((jwk, ctx) => {
    const problem = problemOfKey(jwk);
    if (problem !== null) ctx.addIssue({ code: 'custom', message: problem });
  });
export type PublicJwk = z.infer<typeof publicJwk>;

function problemOfKey(jwk: { kty: 'EC' | 'OKP' | 'RSA'; crv?: string; alg: TokenAlgorithm }): string | null {
  const { kty, crv, alg } = jwk;
  const fits = kty === 'EC' ? crv === CURVES[alg] : kty === 'OKP' ? alg === 'EdDSA' : /^[RP]S/.test(alg);
  if (!fits) return `is a key of ${crv ?? kty}, which the algorithm ${alg} does not sign by`;
  try {
    const bits = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }).asymmetricKeyDetails?.modulusLength;
    if (bits === undefined || (bits >= RSA_BITS.least && bits <= RSA_BITS.most)) return null;
    return `is an RSA key of ${bits} bits; ${RSA_BITS.least} to ${RSA_BITS.most} are taken`;
  } catch {
    return 'is not a key: its numbers do not fit each other';
  }
}

const text = (most: number) => z.string().min(1).max(most);
/** The `iss` of tokens: printable ASCII, which is compared as it is. */
export const issuerName = z
  .string()
  .regex(/^[\x21-\x7e]{1,512}$/, 'must be 1 to 512 printable ASCII characters without spaces');

/** An issuer whose tokens are trusted in the environment. Key: its name (the `iss` of its tokens) in UTF-8. */
export const issuerRecord = z
  .object({
    issuer: issuerName,
    /** a token has to be meant for one of these */
    audience: z.array(text(512)).min(1).max(16),
    /** those that are allowed; the algorithm of a token is the one of its key, and has to be among these */
    algorithms: z.array(tokenAlgorithm).min(1),
    /** a token of another `typ` is refused; absent: at+jwt, JWT and none are taken */
    typ: z.literal('at+jwt').optional(),
    /** the claim that names the client */
    claim: text(128),
    /** empty: none of its tokens can be verified */
    keys: z.array(publicJwk).max(64),
  })
  .superRefine(({ keys }, ctx) => {
    const names = keys.map(({ kid, alg }) => JSON.stringify([kid, alg]));
    if (new Set(names).size !== names.length)
      ctx.addIssue({ code: 'custom', path: ['keys'], message: 'has two keys with the same kid and alg' });
  });
export type IssuerRecord = z.infer<typeof issuerRecord>;

export const issuerKey = (issuer: string): Buffer => encodeText(issuer);
/** @throws z.ZodError for what is no such record */
export const encodeIssuerRecord = (record: IssuerRecord): Buffer => encodeJson(issuerRecord.parse(record));
/** @throws SyntaxError or z.ZodError for what is no such record */
export const decodeIssuerRecord = (value: Buffer): IssuerRecord =>
  issuerRecord.parse(JSON.parse(value.toString('utf8')));

/**
 * A client of an issuer: whose tokens they are. A revoked one is taken off the chain. Key: `clientKey`; value: canonical JSON.
 */
export const clientRecord = credentialBounds.extend({
  /** the application's id */
  application: z.uuid(),
  /**
   * seconds since 1970: tokens with an earlier `iat`, or none, are refused. `iat` has whole seconds as a rule: a time is to be
   * rounded up, so that it refuses those that were issued in the same second before it
   */
  notBefore: z.int().min(0).max(0xffff_ffff).optional(),
});
export type ClientRecord = z.infer<typeof clientRecord>;

/** @throws z.ZodError for what is no such record */
export const encodeClientRecord = (record: ClientRecord): Buffer => encodeJson(clientRecord.parse(record));
/** @throws SyntaxError or z.ZodError for what is no such record */
export const decodeClientRecord = (value: Buffer): ClientRecord =>
  clientRecord.parse(JSON.parse(value.toString('utf8')));

/** The key of the application's record that a client's record names. @throws for what is no such record */
export const applicationKeyInClient = (value: Buffer): Buffer => parseUuid(decodeClientRecord(value).application);

/** The first 16 bytes of the SHA-256 of issuer and client id, with a line feed between. */
export const clientKey = (issuer: string, clientId: string): Buffer => tokenId(issuer, clientId);
/** The first 16 bytes of the SHA-256 of issuer and `jti`, with a line feed between. */
export const revokedTokenKey = (issuer: string, jti: string): Buffer => tokenId(issuer, jti);

function tokenId(issuer: string, name: string): Buffer {
  return hash('sha256', Buffer.from(`${issuer}\n${name}`, 'utf8'), 'buffer').subarray(0, TOKEN_ID_BYTES);
}

/**
 * Value of a revoked token: u32 seconds since 1970, when it expires; it may be forgotten TOKEN_SKEW_SECONDS later. That there is an
 * entry is what revokes it, whatever its value.
 *
 * @param expiresAt milliseconds since 1970
 */
export function encodeRevokedToken(expiresAt: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(Math.min(0xffff_ffff, Math.max(0, Math.ceil(expiresAt / 1000))));
  return bytes;
}

/** @returns milliseconds since 1970 @throws RangeError for what is no such value */
export function decodeRevokedToken(value: Buffer): number {
  if (value.length !== 4) throw new RangeError(`a revoked token has 4 bytes, not ${value.length}`);
  return value.readUInt32BE(0) * 1000;
}
