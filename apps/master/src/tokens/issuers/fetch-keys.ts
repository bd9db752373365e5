import type { PublicJwk, TokenAlgorithm } from '#model';
import { backoffMs, jittered } from '#platform';
import { z } from 'zod';
import { Unavailable } from '../../outbound/guarded-agent.js';
import { guardedFetch, OtherStatus } from './guarded-fetch.js';
import { readJwks, type RefusedKey } from './jwks.js';
import type { Reachable } from '../../outbound/reachable.js';

export interface IssuerSource {
  issuer: string;
  /** null: as the issuer's metadata says */
  jwksUri: string | null;
  algorithms: readonly TokenAlgorithm[];
  /** of what was fetched before from `fetchedFrom` */
  etag: string | null;
  fetchedFrom: string | null;
}

export interface FetchedKeys {
  /** null: they have not changed */
  found: { keys: PublicJwk[]; refused: RefusedKey[] } | null;
  etag: string | null;
  fetchedFrom: string;
  maxAge: number | null;
}

const metadata = z.object({ issuer: z.string(), jwks_uri: z.string().max(2048) });

/** @throws Unavailable */
export async function fetchKeys(source: IssuerSource, reachable: Reachable): Promise<FetchedKeys> {
  const uri = source.jwksUri ?? (await discover(source.issuer, reachable));
  const { json, etag, maxAge } = await guardedFetch(uri, uri === source.fetchedFrom ? source.etag : null, reachable);
  return { found: json === null ? null : readJwks(json, source.algorithms), etag, fetchedFrom: uri, maxAge };
}

/** Where the metadata of an issuer is: by OpenID Connect Discovery 1.0, and by RFC 8414. */
export function metadataUrls(issuer: string): [string, string] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  return [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
}

async function discover(issuer: string, reachable: Reachable): Promise<string> {
  const [openid, oauth] = metadataUrls(issuer);
  const { json } = await guardedFetch(openid, null, reachable).catch((error: unknown) => {
    if (error instanceof OtherStatus) return guardedFetch(oauth, null, reachable);
    throw error;
  });
  const found = metadata.safeParse(json);
  if (!found.success)
    throw new Unavailable(`the metadata of ${issuer} lacks issuer or jwks_uri: give jwksUri yourself`);
  // a document of somebody else could name somebody else's keys (RFC 8414, 3.3)
  if (found.data.issuer !== issuer)
    throw new Unavailable(
      `the metadata is of "${found.data.issuer.slice(0, 200)}", not of "${issuer}": name it exactly so`,
    );
  return found.data.jwks_uri;
}

const USUAL_S = 15 * 60;
const SOONEST_S = 5 * 60;
const LATEST_S = 60 * 60;
const RETRY_MS = 15_000;
const MOST_RETRY_MS = 15 * 60_000;

/** When keys that were fetched are looked at again: as the issuer says, within bounds. @returns milliseconds */
export function freshForMs(maxAge: number | null, random: () => number): number {
  return jittered(Math.min(LATEST_S, Math.max(SOONEST_S, maxAge ?? USUAL_S)) * 1000, 0.1, random);
}

/** @param failures in a row, this one included @returns milliseconds */
export function retryInMs(failures: number, random: () => number): number {
  return backoffMs(failures - 1, RETRY_MS, MOST_RETRY_MS, random);
}
