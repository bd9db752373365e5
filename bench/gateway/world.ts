/**
 * What every gateway of the comparison is told, so that all of them do the same job: check a key, find out whose it is and
 * whether it may call this API, count it against a limit, find the route, rewrite the path, edit headers of both
 * directions, and time it.
 */
export interface World {
  keys: number;
  apis: number;
  /** each holds keys/applications of the keys, and is subscribed to one API */
  applications: number;
}

/** Of each API: `GET /resource-0/{id}` to `GET /resource-19/{id}`. */
export const ROUTES = 20;
/** An hour's; high enough that no run reaches it. */
export const LIMIT = 1_000_000_000;
/** Prime to 10, so that no two of a thousand million numbers become the same; as in load.lua. */
const FACTORS = [716_897_303, 893_021_957, 532_170_641];
/** The key with a limit that is reached, its application, and that limit. */
export const SCARCE = { key: 'hg_live_000000000000000000000scarce_bench0', application: -1, limit: 3 };
/**
 * As long as a real key and, as those are, different everywhere: LuaJIT hashes strings by a few of their bytes, and would be slow
 * with keys that begin with the same zeros. Products stay below 2^53 for up to ten million keys.
 */
export function keyText(number: number): string {
  const digits = FACTORS.map((factor) => String((number * factor) % 1e9).padStart(9, '0'));
  return `hg_live_${digits.join('')}_bench0`;
}
export const contextOf = (api: number): string => `api-${api}/v1`;

export const PLAN = 'gold';
export const SCARCE_PLAN = 'scarce';

/** What is edited; names as they are compared. */
export const EDITS = {
  requestSet: ['x-gateway', 'bench'],
  requestRemove: 'x-client-debug',
  responseSet: ['x-served-by', 'gateway'],
  responseRemove: 'x-upstream-internal',
} as const;
/** What takes the place of the context. */
export const UPSTREAM_PREFIX = '/backend';
export const BODY_BYTES = 200;

export const applicationOf = (world: World, key: number): number => key % world.applications;

/** Spread over all APIs as evenly as applications can be. */
export function apiOf({ apis, applications }: World, application: number): number {
  return apis > applications ? Math.floor((application * apis) / applications) : application % apis;
}

/** Of an application's number; the scarce one is 0xffffffffffff. */
export function applicationId(application: number): string {
  const digits = application < 0 ? 'f'.repeat(12) : application.toString(16).padStart(12, '0');
  return `0b5ad1ce-8f0d-4a35-9d7e-${digits}`;
}

/** One call that all of them answer 200, as it is on the wire. `random` as Math.random. */
export function requestText(world: World, random: () => number): string {
  const key = Math.floor(random() * world.keys);
  const api = apiOf(world, applicationOf(world, key));
  const path = `/${contextOf(api)}/resource-${Math.floor(random() * ROUTES)}/${Math.floor(random() * 1e6)}?units=metric&days=7&lang=en`;
  return `GET ${path} HTTP/1.1\r\nHost: api.example.com\r\nX-API-Key: ${keyText(key)}\r\nUser-Agent: bench-client/1.0 (load)\r\nAccept: application/json\r\nX-Client-Debug: 1\r\n\r\n`;
}
