import type { Part } from '../source/part.js';
import { ISSUER, type TykAuth } from './tyk-api.js';

export function authOfClassic(at: Part): TykAuth {
  const auth: TykAuth = { jwt: false, guards: [] };
  at.skip(
    'scopes',
    'jwt_signing_method',
    'jwt_identity_base_field',
    'jwt_client_base_field',
    'jwt_policy_field_name',
    'jwt_default_policies',
    'jwt_scope_claim_name',
    'jwt_scope_to_policy_mapping',
    'jwt_skip_kid',
    'base_identity_provided_by',
    'hmac_allowed_clock_skew',
    'hmac_allowed_algorithms',
    'openid_options',
    'external_oauth',
  );
  const on = (field: string): boolean => at.at(field).flag(false);
  const guards = [
    'use_basic_auth',
    'enable_signature_checking',
    'enable_coprocess_auth',
    'use_go_plugin_auth',
    'custom_plugin_auth_enabled',
    'use_mutual_tls_auth',
  ];
  const keyless = on('use_keyless');
  for (const field of guards) if (on(field)) auth.guards.push(at.at(field));
  const custom = at.at('custom_middleware');
  const scripts = ['pre', 'post_key_auth', 'auth_check'].filter((hook) => hasScript(custom.at(hook)));
  // one that runs before a request is let in may be what lets it in
  if (scripts.length > 0) auth.guards.push(custom);
  else if (hasScript(custom.at('post')) || hasScript(custom.at('response')))
    custom.lost('nothing is run in the gateway', 'have the upstream do it');
  else custom.skipAll();
  const bundle = at.at('custom_middleware_bundle');
  if (bundle.present && bundle.text() !== '') auth.guards.push(bundle);
  if (keyless) {
    at.skip('auth', 'auth_configs', 'jwt_source', 'strip_auth_data', ...guards.filter((field) => !on(field)));
    return auth;
  }
  for (const [field, todo] of [
    ['enable_jwt', ISSUER],
    ['use_openid', ISSUER],
    ['use_oauth2', 'issue OAuth clients: POST /v1/applications/:id/clients'],
  ] as const)
    if (on(field)) {
      auth.jwt = true;
      at.at(field).changed('tokens are trusted by their issuer, and clients are bound to applications', todo);
    }
  at.skip('jwt_source');
  const standard = on('use_standard_auth') || (!auth.jwt && auth.guards.length === 0);
  if (standard) auth.key = keyPlaces(at);
  else at.skip('auth', 'auth_configs', 'strip_auth_data');
  if (standard && auth.jwt)
    at.at('use_standard_auth').changed(
      'a key and a token were both asked for; here it is the token alone',
      'choose the security of the API',
    );
  return auth;
}

/** A list of scripts, or one that is not disabled. */
function hasScript(at: Part): boolean {
  if (Array.isArray(at.value)) return at.items().some((one) => !one.at('disabled').flag(false));
  return at.present && !at.at('disabled').flag(false) && (at.at('name').text() ?? '') !== '';
}

function keyPlaces(at: Part): TykAuth['key'] {
  const configs = at.at('auth_configs');
  const own = configs.at('authToken');
  const auth = own.present ? own : at.at('auth');
  for (const part of [at.at('auth'), own])
    part.skip('name', 'param_name', 'cookie_name', 'signature', 'disable_header', 'validate_signature');
  configs.skip(
    ...configs
      .fields()
      .map(([name]) => name)
      .filter((name) => name !== 'authToken'),
  );
  const header = auth.at('auth_header_name').text() || 'Authorization';
  const query = auth.at('use_param').flag(false) ? auth.at('param_name').text() || header : undefined;
  if (auth.at('use_cookie').flag(false))
    auth.at('use_cookie').lost('keys are not looked for in cookies', 'have callers send them in the header');
  if (auth.at('use_certificate').flag(false))
    auth.at('use_certificate').lost('keys are not made of certificates', 'issue keys');
  if (own.present) at.at('auth').skipAll();
  return {
    header,
    ...(query === undefined || !/^[A-Za-z0-9_.-]{1,64}$/.test(query) ? {} : { query }),
    ...(at.at('strip_auth_data').flag(false) ? {} : { forward: true }),
  };
}
