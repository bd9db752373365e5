import { type Policies, policies } from '#model';
import type { Part } from '../source/part.js';

type Name = keyof Policies;

/** Puts a policy in its place if it is one; else says why not. */
export function keep<N extends Name>(into: Policies, name: N, value: Policies[N], at: Part): void {
  const parsed = policies.shape[name].safeParse(value);
  if (parsed.success) into[name] = parsed.data as Policies[N];
  else at.lost(`it cannot be said here: ${parsed.error.issues[0]?.message}`, 'set the policy by hand');
}

/** Addresses keep callers out, so a list that cannot be kept whole lets nobody in. */
export function keepAddresses(into: Policies, lists: { allow: string[]; deny: string[] }, at: Part): void {
  const value = {
    ...(lists.allow.length > 0 ? { allow: lists.allow } : {}),
    ...(lists.deny.length > 0 ? { deny: lists.deny } : {}),
  };
  if (policies.shape.ip.safeParse(value).success) into.ip = value;
  else {
    at.closed(
      'its addresses cannot all be kept: nobody is let in until they are',
      'write the addresses into the policy `ip`',
    );
    into.ip = { deny: ['0.0.0.0/0', '::/0'] };
  }
}

/** @param bytes floored */
export function keepBodyLimit(into: Policies, bytes: number | undefined, at: Part): void {
  if (bytes !== undefined) keep(into, 'maxBodyBytes', Math.max(0, Math.floor(bytes)), at);
}

/** Values that another gateway computes for each request: `$(headers.x)`, `$tyk_context.`, `${{ env "X" }}`, `{vault://...}`. */
const COMPUTED = /\$\(|\$tyk_|\$\{\{|\{vault:\/\//;

export function isComputed(text: string): boolean {
  return COMPUTED.test(text);
}

export interface HeaderEdits {
  set?: Record<string, string>;
  add?: Record<string, string>;
  remove?: string[];
}

/** Adds one header to `set` or `add`, if it is a fixed text. */
export function putHeader(edits: HeaderEdits, how: 'set' | 'add', name: string, value: string, at: Part): void {
  if (isComputed(value)) at.lost('values are fixed texts here', 'have the upstream compute it');
  else (edits[how] ??= {})[name] = value;
}

export interface CorsSettings {
  origins: string[];
  methods: string[];
  headers: string[];
  exposeHeaders: string[];
  credentials: boolean;
  maxAgeSeconds: number | undefined;
}

export function keepCors(into: Policies, settings: CorsSettings, at: Part): void {
  const origins = settings.origins.length > 0 ? settings.origins : ['*'];
  // any origin with credentials lets every page on the web act for whoever is logged in: no browser takes it in these words
  const credentials = settings.credentials && !origins.includes('*');
  if (settings.credentials && !credentials)
    at.changed('credentials for any origin are refused by browsers: they are left out', 'name the origins');
  const list = (name: 'methods' | 'headers' | 'exposeHeaders'): object => {
    const values = settings[name].filter((value) => value !== '*');
    return values.length > 0 && values.length === settings[name].length ? { [name]: values } : {};
  };
  const { maxAgeSeconds } = settings;
  keep(
    into,
    'cors',
    {
      origins,
      ...list('methods'),
      ...list('headers'),
      ...list('exposeHeaders'),
      ...(credentials ? { credentials } : {}),
      ...(maxAgeSeconds ? { maxAgeSeconds: Math.min(86_400, Math.max(0, Math.floor(maxAgeSeconds))) } : {}),
    },
    at,
  );
}
