import { OAuthFault } from './oauth-fault.js';

/** What a client sends to our endpoints, by name. */
export type Form = ReadonlyMap<string, string>;

const MOST_PARAMETERS = 50;

/**
 * Reads `application/x-www-form-urlencoded`, in UTF-8. A parameter without a value counts as left out, one that comes twice
 * makes the request invalid, and what nobody knows is ignored (RFC 6749, 3.2).
 *
 * @throws OAuthFault `invalid_request`
 */
export function parseForm(body: unknown): Form {
  const form = new Map<string, string>();
  if (!Buffer.isBuffer(body) || body.length === 0) return form;
  const parts = body.toString('latin1').split('&');
  if (parts.length > MOST_PARAMETERS) throw new OAuthFault('invalid_request', 'the body has too many parameters');
  const names = new Set<string>();
  for (const part of parts) {
    if (part === '') continue;
    const at = part.indexOf('=');
    const name = formDecode(at < 0 ? part : part.slice(0, at));
    const value = formDecode(at < 0 ? '' : part.slice(at + 1));
    if (name === null || value === null)
      throw new OAuthFault('invalid_request', 'the body is not form-urlencoded text in UTF-8');
    if (names.has(name)) throw new OAuthFault('invalid_request', 'the body has a parameter more than once');
    names.add(name);
    if (value !== '') form.set(name, value);
  }
  return form;
}

/** @returns null for what is not form-urlencoded UTF-8 */
export function formDecode(text: string): string | null {
  if (!/^[\x20-\x7e]*$/.test(text)) return null;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return null;
  }
}

/** @throws OAuthFault `invalid_request` */
export function required(form: Form, name: string): string {
  const value = form.get(name);
  if (value === undefined) throw new OAuthFault('invalid_request', `the parameter ${name} is missing`);
  return value;
}
