import type { ErrorCode } from '#model';
import type { CompiledApi, CompiledRoute } from './compile/compile-api.js';
import type { CompiledState } from './compile/compiled-state.js';
import type { CompiledKey, CompiledPlan } from './compile/records.js';
import type { CredentialPlaces } from './credential.js';
import type { Consumer } from './decision.js';
import { parseIpAddress } from './ip-address.js';
import type { IpList } from './ip-list.js';
import type { TokenHolder, TokenRefusal } from './tokens/token-book.js';
import { looksLikeToken } from './tokens/token-text.js';

export type Authorization =
  | { ok: true; consumer: Consumer; plan: CompiledPlan }
  | { ok: false; code: ErrorCode; detail: string; headers: readonly string[] };

/**
 * Key or token, application, subscription, plan: all of one revision.
 *
 * @param address of the caller; null where nobody knows it, and then the lists of credentials are not asked
 */
export function authorize(
  values: readonly string[],
  places: CredentialPlaces,
  api: CompiledApi,
  route: CompiledRoute,
  address: string | null,
  state: CompiledState,
  now: number,
): Authorization {
  const [secret, ...others] = values;
  if (secret === undefined) return challenge(api, route, 'credential_missing', wanted(places, route), null);
  if (others.length > 0) return refusal('bad_request', 'the request carries different credentials; send one');

  const holder = holderOf(secret, route, address, state, now);
  if ('code' in holder) return told(api, route, holder);
  const application = state.application(holder.application);
  if (!application) {
    const detail = `the application of the credential is not known in the environment ${state.environment}`;
    return told(api, route, { code: 'credential_unknown', detail });
  }
  if (holder.ips && address !== null && !isAmong(holder.ips, address))
    return refusal('ip_denied', `the credential may not be used from the address ${address}`);
  if (application.suspended) return refusal('application_suspended', `the application ${application.id} is suspended`);
  const subscription = application.subscriptions.get(api.id);
  const plan = subscription && state.plan(subscription.plan);
  if (!subscription || !plan)
    return refusal('not_subscribed', `the application ${application.id} is not subscribed to ${api.id}`);
  for (const scope of route.scopes) {
    if (holder.scopes.has(scope)) continue;
    const detail = `${route.name} of ${api.id} requires the scopes ${route.scopes.join(' ')}; the credential has not got ${scope}`;
    return challenge(api, route, 'insufficient_scope', detail, 'insufficient_scope');
  }
  return {
    ok: true,
    plan,
    consumer: {
      application: application.id,
      subscription: subscription.id,
      plan: plan.id,
      key: holder.key,
      client: holder.client,
      expiresAt: holder.expiresAt,
    },
  };
}

/** A key and a token are told apart by their form, and only where a route takes both. */
function holderOf(
  secret: string,
  { keys, tokens }: CompiledRoute,
  address: string | null,
  state: CompiledState,
  now: number,
): CompiledKey | TokenHolder | TokenRefusal {
  if (tokens && (!keys || looksLikeToken(secret))) return state.tokens.holderOf(secret, address ?? '', now);
  const key = state.keyOf(secret);
  if (!key) {
    const hint = looksLikeToken(secret) ? '; access tokens are not taken here' : '';
    return { code: 'credential_unknown', detail: `no such key exists in the environment ${state.environment}${hint}` };
  }
  if (key.revoked) return { code: 'credential_revoked', detail: 'the key was revoked' };
  if (key.expiresAt !== null && key.expiresAt <= now)
    return { code: 'credential_expired', detail: `the key expired at ${new Date(key.expiresAt).toISOString()}` };
  return key;
}

/** What is no address may be one that is not among them. */
function isAmong(list: IpList, text: string): boolean {
  const address = parseIpAddress(text);
  return address !== null && list.has(address);
}

function told(api: CompiledApi, route: CompiledRoute, { code, detail }: TokenRefusal): Authorization {
  if (code === 'credential_unchecked') return { ok: false, code, detail, headers: ['Retry-After', '1'] };
  return challenge(api, route, code, detail, 'invalid_token');
}

function refusal(code: ErrorCode, detail: string): Authorization {
  return { ok: false, code, detail, headers: [] };
}

/** A 401 has to say how to do better (RFC 9110, 11.6.1); `error` and `scope` are those of RFC 6750, 3. */
function challenge(
  api: CompiledApi,
  route: CompiledRoute,
  code: ErrorCode,
  detail: string,
  error: 'invalid_token' | 'insufficient_scope' | null,
): Authorization {
  const which = error === null ? '' : `, error="${error}"`;
  const scope = error === 'invalid_token' || route.scopes.length === 0 ? '' : `, scope="${route.scopes.join(' ')}"`;
  return { ok: false, code, detail, headers: ['WWW-Authenticate', `Bearer realm="${api.id}"${which}${scope}`] };
}

function wanted(places: CredentialPlaces, { keys, tokens }: CompiledRoute): string {
  const what = tokens ? (keys ? 'a key or an access token' : 'an access token') : 'a key';
  const query = places.query === null ? '' : `, in the query parameter ${places.query},`;
  return `send ${what} in the header ${places.headerText}${query} or as Authorization: Bearer`;
}
