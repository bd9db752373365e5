import { type PublicJwk, publicJwk, TOKEN_ALGORITHMS, type TokenAlgorithm } from '#model';
import { z } from 'zod';
import { Unavailable } from '../../outbound/guarded-agent.js';

/** As many as a record of the chain holds. */
const MOST_KEYS = 64;
const MOST_REFUSED = 20;
const MOST_KID = 256;

/** A key of an issuer that is not used, and why. */
export interface RefusedKey {
  kid: string | null;
  problem: string;
}

export interface ReadKeys {
  /** in one order, whatever order they came in */
  keys: PublicJwk[];
  refused: RefusedKey[];
}

const jwks = z.object({ keys: z.array(z.record(z.string(), z.unknown())) });
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];
const CURVES: Record<string, TokenAlgorithm> = {
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
  Ed25519: 'EdDSA',
};

/**
 * The keys of a JWK set (RFC 7517) by which tokens may be verified. What is not known of a key is left out of it. A key of RSA that
 * names no algorithm is good for each that is allowed.
 *
 * @throws Unavailable for what is no such set, or has no usable key
 */
export function readJwks(document: unknown, algorithms: readonly TokenAlgorithm[]): ReadKeys {
  const set = jwks.safeParse(document);
  if (!set.success) throw new Unavailable('the issuer answered something else than a JWK set: {"keys": [...]}');
  const read: ReadKeys = { keys: [], refused: [] };
  const names = new Set<string>();
  for (const jwk of set.data.keys) {
    const kid = typeof jwk['kid'] === 'string' ? jwk['kid'].slice(0, MOST_KID) : null;
    const refuse = (problem: string): void => void read.refused.push({ kid, problem });
    if (isOfOtherUse(jwk)) continue;
    const problem = problemOf(jwk, algorithms);
    if (problem !== null) {
      refuse(problem);
      continue;
    }
    for (const alg of algorithmsOf(jwk, algorithms)) {
      const key = publicJwk.safeParse({ ...publicPart(jwk), alg });
      const name = JSON.stringify([kid, alg]);
      if (!key.success) refuse(key.error.issues[0]?.message ?? 'is not valid');
      else if (names.has(name)) refuse(`is the second one ${kid === null ? 'without a kid' : 'of its kid'} for ${alg}`);
      else if (read.keys.length >= MOST_KEYS) refuse(`is one too many: ${MOST_KEYS} are used`);
      else read.keys.push(key.data);
      names.add(name);
    }
  }
  if (read.keys.length === 0) throw new Unavailable(`the issuer has no key that can be used${reasons(read.refused)}`);
  const nameOf = ({ kid, alg }: PublicJwk): string => `${kid ?? ''} ${alg}`;
  return {
    keys: read.keys.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)),
    refused: read.refused.slice(0, MOST_REFUSED),
  };
}

/** Keys for encryption are in the same set as a rule. */
function isOfOtherUse({ use, key_ops: operations }: Record<string, unknown>): boolean {
  return (use !== undefined && use !== 'sig') || (Array.isArray(operations) && !operations.includes('verify'));
}

function problemOf(jwk: Record<string, unknown>, algorithms: readonly TokenAlgorithm[]): string | null {
  if (jwk['kty'] === 'oct' || 'k' in jwk) return 'is symmetric: who can verify by it can sign as well';
  if (PRIVATE.some((member) => member in jwk)) return 'shows its private half: anybody may have signed by it';
  const { alg } = jwk;
  if (alg === undefined)
    return algorithmsOf(jwk, algorithms).length > 0 ? null : 'fits none of the algorithms that are allowed';
  const known = TOKEN_ALGORITHMS.find((one) => one === alg);
  if (known === undefined) return `is for the algorithm ${JSON.stringify(alg).slice(0, 40)}, which is not known`;
  return algorithms.includes(known) ? null : `is for ${known}, which is not among the allowed algorithms`;
}

function algorithmsOf(
  { alg, kty, crv }: Record<string, unknown>,
  allowed: readonly TokenAlgorithm[],
): TokenAlgorithm[] {
  if (alg !== undefined) return allowed.filter((one) => one === alg);
  if (kty === 'RSA') return allowed.filter((one) => /^[RP]S/.test(one));
  return allowed.filter((one) => typeof crv === 'string' && one === CURVES[crv]);
}

function publicPart({ kid, kty, crv, x, y, n, e }: Record<string, unknown>): object {
  const named = kid === undefined ? {} : { kid };
  if (kty === 'RSA') return { kty, n, e, ...named };
  return kty === 'EC' ? { kty, crv, x, y, ...named } : { kty, crv, x, ...named };
}

function reasons(refused: readonly RefusedKey[]): string {
  const told = refused
    .slice(0, 3)
    .map(({ kid, problem }) => `${kid === null ? 'one' : `"${kid.slice(0, 40)}"`} ${problem}`);
  return told.length > 0 ? `: ${told.join('; ')}` : '';
}
