import type { Part } from '../source/part.js';
import { ISSUER, type TykAuth } from './tyk-api.js';

export function authOfOas(document: Part, server: Part, global: Part): TykAuth {
  const at = server.at('authentication');
  const auth: TykAuth = { jwt: false, guards: [] };
  // what runs before a request is let in may be what lets it in
  for (const hook of ['prePlugin', 'prePlugins', 'postAuthenticationPlugin', 'postAuthenticationPlugins'])
    if (runs(global.at(hook))) auth.guards.push(global.at(hook));
  for (const guard of [global.at('pluginConfig').at('bundle'), server.at('clientCertificates')])
    if (guard.at('enabled').flag(false)) auth.guards.push(guard);
    else guard.skipAll();
  if (!at.at('enabled').flag(false)) {
    at.skipAll();
    return auth;
  }
  at.skip('baseIdentityProvider', 'customKeyLifetime');
  for (const other of ['hmac', 'custom'])
    if (at.at(other).at('enabled').flag(false)) auth.guards.push(at.at(other));
    else at.at(other).skipAll();
  if (at.at('oidc').at('enabled').flag(false)) tokens(auth, at.at('oidc'));
  const declared = document.at('components').at('securitySchemes');
  for (const [name, scheme] of at.at('securitySchemes').fields()) {
    if (!scheme.at('enabled').flag(true)) scheme.skipAll();
    else readScheme(auth, declared.at(name), scheme, !at.at('stripAuthorizationData').flag(false));
  }
  at.skip('stripAuthorizationData');
  // Tyk asks for a token in Authorization where nothing else is chosen
  if (!auth.key && !auth.jwt && auth.guards.length === 0) auth.key = { header: 'Authorization', forward: true };
  if (auth.key && auth.jwt)
    at.changed('a key and a token were both asked for; here it is the token alone', 'choose the security of the API');
  return auth;
}

/** Whether any of a list of plugins is on. */
function runs(at: Part): boolean {
  const list = Array.isArray(at.value) ? at : at.at('plugins');
  return list.items().some((plugin) => plugin.at('enabled').flag(false));
}

function tokens(auth: TykAuth, at: Part): void {
  auth.jwt = true;
  at.changed('tokens are trusted by their issuer, and clients are bound to applications', ISSUER);
  at.skipAll();
}

function readScheme(auth: TykAuth, declared: Part, scheme: Part, forward: boolean): void {
  const type = declared.at('type').text();
  const isJwt = type === 'http' && declared.at('scheme').text()?.toLowerCase() === 'bearer';
  if (isJwt || type === 'oauth2' || type === 'openIdConnect') return tokens(auth, scheme);
  if (type !== 'apiKey') {
    auth.guards.push(scheme);
    return;
  }
  const where = (place: string): string | undefined => {
    const own = scheme.at(place);
    if (own.at('enabled').flag(false)) return own.at('name').text() ?? declared.at('name').text();
    return declared.at('in').text() === place ? declared.at('name').text() : undefined;
  };
  const query = where('query');
  if (where('cookie') !== undefined)
    scheme.lost('keys are not looked for in cookies', 'have callers send them in the header');
  auth.key = {
    header: where('header') ?? 'Authorization',
    ...(query === undefined || !/^[A-Za-z0-9_.-]{1,64}$/.test(query) ? {} : { query }),
    ...(forward ? { forward: true } : {}),
  };
  scheme.skip('signature', 'enableClientCertificate');
}
