const METADATA = '/.well-known/oauth-authorization-server';

/**
 * Leads to our routes where the issuer's name has a path, `https://api.example.com/auth`: there the metadata is found at
 * `/.well-known/oauth-authorization-server/auth` (RFC 8414, 3), and what it names below `/auth`.
 *
 * @param issuer undefined: it has no path
 */
export function stripIssuerPath(issuer: string | undefined): (url: string) => string {
  const path = issuer === undefined ? '' : new URL(issuer).pathname.replace(/\/$/, '');
  if (path === '') return (url) => url;
  const below = [`${path}/oauth/`, `${path}/.well-known/`];
  return (url) => {
    if (url.split('?')[0] === METADATA + path) return METADATA + url.slice(METADATA.length + path.length);
    return below.some((start) => url.startsWith(start)) ? url.slice(path.length) : url;
  };
}
