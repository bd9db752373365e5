import { authorize } from './authorize.js';
import type { CompiledApi, CompiledPolicies, CompiledRoute } from './compile/compile-api.js';
import type { CompiledState } from './compile/compiled-state.js';
import { corsHeaders, preflightHeaders, preflightMethod } from './cors.js';
import { type FoundCredential, findCredentials } from './credential.js';
import type { Decision, Respond, Wait } from './decision.js';
import { parseIpAddress } from './ip-address.js';
import { minRevision } from './min-revision.js';
import { Reply } from './reply.js';
import type { RequestHead } from './request-head.js';
import { pathBelow } from './rewrite.js';
import { type Limiter, takeTokens } from './take-tokens.js';
import { parseTarget, type Target } from './target.js';

const SOON = ['Retry-After', '1'] as const;

/**
 * The whole job of the gateway for one request, up to its body: what is answered, or what goes where. Synchronous, and
 * without any I/O but look-ups in memory-mapped state. A token is spent last, so that no refusal costs one.
 *
 * @param now milliseconds since 1970
 */
export function decide(head: RequestHead, state: CompiledState, limiter: Limiter, now: number): Decision {
  const reply = new Reply(head.requestId);
  const unfit = checkState(head, state, reply);
  if (unfit) return unfit;

  const parsed = parseTarget(head.target);
  if (!parsed.ok) return reply.refuse('bad_request', parsed.detail);
  const { target } = parsed;
  const place = state.apiAt(target.segments);
  if (target.encodedSlash && place?.api.encodedSlashes !== true)
    return reply.refuse('bad_request', 'the path has an encoded slash');
  if (!place)
    return reply.refuse('no_such_api', `no API in the region ${state.region} has a context that this path begins with`);
  const { api, depth } = place;
  reply.api = api;
  if (api.refuseOlderThanMs !== null && ageOf(state, now) > api.refuseOlderThanMs) {
    return reply.refuse(
      'too_stale',
      `${api.id} is served from a state of the last ${api.refuseOlderThanMs / 1000} seconds only`,
      SOON,
    );
  }

  const route = findRoute(head, api, depth, target, reply);
  if ('kind' in route) return route;
  const { policies } = route;
  const misfit = checkAddress(head, policies, reply) ?? checkLength(head, policies, reply);
  if (misfit) return misfit;

  const found = api.credential && findCredentials(head, api.credential, target.query);
  const stop = route.secured
    ? admit(found, api, route, head.remoteAddress, state, limiter, now, reply)
    : admitOpen(head, api, route, state, limiter, reply);
  if (stop) return stop;

  const { mock } = policies;
  if (mock) return reply.answer(mock.status, mock.headers, mock.body);
  const withheld = found && !api.credential?.forward ? found : null;
  const query = withheld?.query ?? target.query;
  return {
    kind: 'forward',
    api,
    route,
    consumer: reply.consumer,
    path: pathBelow(target, depth, policies.rewrite) + query,
    uri: api.caches ? target.path + query : null,
    withheld: withheld?.headers ?? [],
    headers: reply.headers,
  };
}

function checkState(head: RequestHead, state: CompiledState, reply: Reply): Respond | null {
  const min = minRevision(head.values('heliograph-min-revision'), state);
  if (min.kind === 'malformed') return reply.refuse('bad_request', min.detail);
  if (min.kind === 'behind') return reply.refuse('behind_min_revision', min.detail, SOON);
  return state.revision === 0 ? reply.refuse('not_ready', 'no revision is loaded yet', SOON) : null;
}

function ageOf(state: CompiledState, now: number): number {
  return state.headIssuedAt === null ? Number.POSITIVE_INFINITY : now - state.headIssuedAt;
}

function findRoute(
  head: RequestHead,
  api: CompiledApi,
  depth: number,
  target: Target,
  reply: Reply,
): CompiledRoute | Respond {
  const asked = preflightMethod(head);
  const preflighted = asked === null ? null : api.routes.find(target.segments, depth, asked);
  if (preflighted?.policies.cors) {
    reply.route = preflighted;
    const methods = api.routes.allowed(target.segments, depth)?.join(', ') ?? (asked as string);
    return reply.answer(204, preflightHeaders(preflighted.policies.cors, head, methods), '');
  }
  const route = api.routes.find(target.segments, depth, head.method);
  const { cors } = (route ?? api).policies;
  if (cors) reply.headers.push(...corsHeaders(cors, head));
  if (route) {
    reply.route = route;
    return route;
  }
  const allowed = api.routes.allowed(target.segments, depth) ?? [];
  if (allowed.length === 0) return reply.refuse('no_such_route', `${api.id} has no route for this path`);
  return reply.refuse('method_not_allowed', `${api.id} has this path for ${allowed.join(', ')} only`, [
    'Allow',
    allowed.join(', '),
  ]);
}

function checkAddress(head: RequestHead, { ipAllow, ipDeny }: CompiledPolicies, reply: Reply): Respond | null {
  const { remoteAddress } = head;
  if (remoteAddress === null || (ipAllow === null && ipDeny === null)) return null;
  // what is no address may be one that is denied
  const address = parseIpAddress(remoteAddress);
  if (address !== null && ipDeny?.has(address) !== true && ipAllow?.has(address) !== false) return null;
  return reply.refuse('ip_denied', `the address ${remoteAddress} may not call this API`);
}

/** Only what is announced; what is sent, the engine counts. */
function checkLength(head: RequestHead, { maxBodyBytes }: CompiledPolicies, reply: Reply): Respond | null {
  if (maxBodyBytes === null || Number(head.values('content-length')[0] ?? 0) <= maxBodyBytes) return null;
  return reply.refuse('body_too_large', bodyLimitText(maxBodyBytes));
}

export function bodyLimitText(maxBodyBytes: number): string {
  return `the body may have ${maxBodyBytes} bytes at most`;
}

/** Checks the credential and spends a token. Null: the request may go on. */
function admit(
  found: FoundCredential | null,
  api: CompiledApi,
  route: CompiledRoute,
  address: string | null,
  state: CompiledState,
  limiter: Limiter,
  now: number,
  reply: Reply,
): Respond | Wait | null {
  if (!found || !api.credential) throw new Error(`${api.id} has a secured route and no place for credentials`);
  const result = authorize(found.values, api.credential, api, route, address, state, now);
  if (!result.ok) return reply.refuse(result.code, result.detail, result.headers);
  const { consumer, plan } = result;
  reply.consumer = consumer;
  return takeTokens(plan, { consumer: consumer.subscription, api: api.id, route: route.id }, limiter, reply);
}

/** Spends a token of the client's address, where the API limits its open routes. Null: the request may go on. */
function admitOpen(
  head: RequestHead,
  api: CompiledApi,
  route: CompiledRoute,
  state: CompiledState,
  limiter: Limiter,
  reply: Reply,
): Respond | Wait | null {
  const { open } = api;
  if (open === null || head.remoteAddress === null) return null;
  const plan = state.plan(open.plan);
  if (plan === null)
    return reply.refuse(
      'plan_missing',
      `${api.id} limits this route by the plan ${open.plan}, which is not known here`,
    );
  const claim = { consumer: open.nameOf(head.remoteAddress), api: api.id, route: route.id };
  return takeTokens(plan, claim, limiter, reply);
}
