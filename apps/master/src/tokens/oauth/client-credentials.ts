import { type Form, formDecode } from './form.js';
import { invalidClient, OAuthFault } from './oauth-fault.js';

export interface ClientCredentials {
  id: string;
  secret: string;
}

const BASIC = /^Basic +([A-Za-z0-9+/]+={0,2}) *$/i;

/**
 * The id and secret of a client: by HTTP Basic, of form-urlencoded halves, or in the body (RFC 6749, 2.3.1), and by one of the
 * two ways only.
 *
 * @throws OAuthFault `invalid_request` for both at once, `invalid_client` for none or what cannot be read
 */
export function clientCredentials(authorization: string | undefined, form: Form): ClientCredentials {
  const id = form.get('client_id');
  const secret = form.get('client_secret');
  if (authorization === undefined) {
    if (id === undefined || secret === undefined)
      throw invalidClient('send client_id and client_secret, by HTTP Basic or in the body');
    return { id, secret };
  }
  if (secret !== undefined)
    throw new OAuthFault('invalid_request', 'the client authenticates in two ways; send HTTP Basic or a client_secret');
  const basic = basicCredentials(authorization);
  if (id !== undefined && id !== basic.id)
    throw new OAuthFault('invalid_request', 'client_id names another client than HTTP Basic');
  return basic;
}

function basicCredentials(authorization: string): ClientCredentials {
  const decoded = Buffer.from(BASIC.exec(authorization)?.[1] ?? '', 'base64').toString('latin1');
  const at = decoded.indexOf(':');
  const [id, secret] = at < 0 ? [null, null] : [formDecode(decoded.slice(0, at)), formDecode(decoded.slice(at + 1))];
  if (id === null || secret === null)
    throw invalidClient('the Authorization header is not HTTP Basic of a client id and secret, each form-urlencoded');
  return { id, secret };
}
