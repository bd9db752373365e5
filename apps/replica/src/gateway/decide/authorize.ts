import type { ErrorCode } from '#model';
import type { CompiledApi } from './compile/compile-api.js';
import type { CompiledState } from './compile/compiled-state.js';
import type { CompiledPlan } from './compile/records.js';
import type { CredentialPlaces } from './credential.js';
import type { Consumer } from './decision.js';

export type Authorization =
  | { ok: true; consumer: Consumer; plan: CompiledPlan }
  | { ok: false; code: ErrorCode; detail: string; headers: readonly string[] };

/** Key, application, subscription, plan: all of one revision. */
export function authorize(
  values: readonly string[],
  places: CredentialPlaces,
  api: CompiledApi,
  state: CompiledState,
  now: number,
): Authorization {
  const [secret, ...others] = values;
  if (secret === undefined) return challenge(api, 'credential_missing', `send a key ${placesText(places)}`, null);
  if (others.length > 0)
    return {
      ok: false,
      code: 'bad_request',
      detail: 'the request carries different credentials; send one',
      headers: [],
    };

  const key = state.keyOf(secret);
  const application = key && state.application(key.application);
  if (!key || !application)
    return challenge(api, 'credential_unknown', `no such key exists in the environment ${state.environment}`);
  if (key.revoked) return challenge(api, 'credential_revoked', 'the key was revoked');
  if (key.expiresAt !== null && key.expiresAt <= now)
    return challenge(api, 'credential_expired', `the key expired at ${new Date(key.expiresAt).toISOString()}`);
  if (application.suspended)
    return forbidden('application_suspended', `the application ${application.id} is suspended`);
  const subscription = application.subscriptions.get(api.id);
  const plan = subscription && state.plan(subscription.plan);
  if (!subscription || !plan)
    return forbidden('not_subscribed', `the application ${application.id} is not subscribed to ${api.id}`);
  return {
    ok: true,
    plan,
    consumer: {
      application: application.id,
      subscription: subscription.id,
      plan: plan.id,
      key: key.id,
      client: null,
      expiresAt: key.expiresAt,
    },
  };
}

function forbidden(code: ErrorCode, detail: string): Authorization {
  return { ok: false, code, detail, headers: [] };
}

/** A 401 has to say how to do better (RFC 9110, 11.6.1); `error` is that of RFC 6750, 3.1. */
function challenge(
  api: CompiledApi,
  code: ErrorCode,
  detail: string,
  error: string | null = 'invalid_token',
): Authorization {
  const scheme = `Bearer realm="${api.id}"${error === null ? '' : `, error="${error}"`}`;
  return { ok: false, code, detail, headers: ['WWW-Authenticate', scheme] };
}

function placesText(places: CredentialPlaces): string {
  const query = places.query === null ? '' : `, in the query parameter ${places.query},`;
  return `in the header ${places.headerText}${query} or as Authorization: Bearer`;
}
