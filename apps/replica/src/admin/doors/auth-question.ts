import { fail } from '#model';
import { PREFLIGHT_FIELD } from '../../gateway/decide/cors.js';
import type { RequestHead } from '../../gateway/decide/request-head.js';

/** Before the path that is meant, where the proxy that asks sends it as the path of its own request. */
const PREFIX = '/auth';

/** Pairs of fields that say which request is meant. A proxy sets one of them and may pass a client's other one on. */
const SUBJECTS = [
  { method: 'X-Original-Method', target: 'X-Original-URI' },
  { method: 'X-Forwarded-Method', target: 'X-Forwarded-Uri' },
] as const;

/** Whether a target is that of `/auth`, or of a path behind it. */
export function isAuth(target: string): boolean {
  if (!target.startsWith(PREFIX)) return false;
  const next = target[PREFIX.length];
  return next === undefined || next === '?' || next === '/';
}

/**
 * Which request is asked about. `/auth` takes method and path from a pair of fields, as nginx, Traefik and APISIX send them;
 * nothing tells which pair the proxy set and which one its client made up, so none is preferred: whatever is there must be
 * whole, said once, and say the same. `/auth/weather/v1/today` is what Envoy makes of a request: method and path are its
 * own, which no client can change, and those fields mean nothing.
 *
 * A preflight is a question like any other: it would go upstream, so that what the gateway answers without a credential
 * has to be admitted here.
 *
 * @throws HelioError invalid_request without method and path, bad_request where they are contradictory
 */
export function questionOf(head: RequestHead): RequestHead {
  const said = (name: string): readonly string[] => head.values(name);
  const { requestId, scheme } = head;
  const values = (name: string): readonly string[] => (name === PREFLIGHT_FIELD ? [] : said(name));
  const common = { values, requestId, scheme, remoteAddress: addressOf(head) };
  if (head.target[PREFIX.length] === '/')
    return { ...common, method: head.method, target: head.target.slice(PREFIX.length) };

  const pairs = SUBJECTS.filter(({ method, target }) => said(lower(method)).length + said(lower(target)).length > 0);
  for (const field of (pairs.length > 0 ? pairs : SUBJECTS.slice(1)).flatMap(({ method, target }) => [
    method,
    target,
  ])) {
    if (said(lower(field)).length > 0) continue;
    throw fail('invalid_request', 'the request does not say which request it asks about', {
      fields: [
        {
          field,
          problem: 'is missing',
          expected: 'X-Forwarded-Method and X-Forwarded-Uri, or X-Original-Method and X-Original-URI',
        },
      ],
    });
  }
  const method = theOne(
    pairs.flatMap((pair) => said(lower(pair.method))),
    'X-Original-Method and X-Forwarded-Method',
  );
  const target = theOne(
    pairs.flatMap((pair) => said(lower(pair.target))),
    'X-Original-URI and X-Forwarded-Uri',
  );
  return { ...common, method, target };
}

/** The last address is the one that the asking proxy saw itself; the ones before may be anybody's word. */
function addressOf(head: RequestHead): string | null {
  return head.values('x-forwarded-for').join(',').split(',').at(-1)?.trim() || head.remoteAddress;
}

function lower(name: string): string {
  return name.toLowerCase();
}

function theOne(values: readonly string[], fields: string): string {
  const [first = '', ...others] = values;
  if (others.every((value) => value === first)) return first;
  throw fail(
    'bad_request',
    `${fields} do not say the same; the asking proxy must set its own and remove those that its client sent`,
  );
}
