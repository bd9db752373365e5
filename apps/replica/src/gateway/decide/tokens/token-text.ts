import { isUtf8 } from 'node:buffer';
import { TOKEN_ALGORITHMS, type TokenAlgorithm } from '#model';

const MAX_KID = 256;

/** Three parts of base64url; the last one is empty where nothing was signed. No key that is made here has this form. */
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

export type Claims = Readonly<Record<string, unknown>>;

/** What a token says. Nothing of it is true before its signature was verified. */
export interface TokenText {
  alg: TokenAlgorithm;
  kid: string | undefined;
  /** in lower case, `application/` left out */
  typ: string | undefined;
  claims: Claims;
  /** what was signed */
  input: Buffer;
  signature: Buffer;
}

export function looksLikeToken(text: string): boolean {
  return FORM.test(text);
}

/**
 * Reads the compact form of a JWS (RFC 7515) with claims in it (RFC 7519), and takes one way of writing each: no padding, no other bits
 * after the last byte, UTF-8. What a header says of keys (`jwk`, `jku`, `x5c`, `x5u`) is not looked at.
 *
 * @param text of bounded length
 * @returns a sentence that follows "the token", for what is none
 */
export function readToken(text: string): TokenText | string {
  if (!FORM.test(text))
    return 'is not three parts in base64url with dots between, as access tokens are (RFC 7515); keys are not taken here';
  const [head, payload, last] = text.split('.') as [string, string, string];
  const header = objectIn(head);
  if (header === null) return 'has a header that is no JSON object in base64url';
  const { alg, kid, typ } = header;
  // before anything else: `none` and shared secrets are no algorithms here, whatever a key would allow
  if (!isAlgorithm(alg)) return `is not signed by an algorithm that is verified here: ${TOKEN_ALGORITHMS.join(', ')}`;
  if ('crit' in header || 'b64' in header) return 'has extensions (crit, b64) in its header, which are not known here';
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > MAX_KID))
    return `has a kid that is no text of 1 to ${MAX_KID} characters`;
  if (typ !== undefined && typeof typ !== 'string') return 'has a typ that is no text';
  const claims = objectIn(payload);
  if (claims === null) return 'has claims that are no JSON object in base64url';
  const signature = bytesIn(last);
  if (signature === null || signature.length === 0) return 'has no signature in base64url';
  return {
    alg,
    kid,
    typ: typ?.toLowerCase().replace(/^application\//, ''),
    claims,
    input: Buffer.from(text.slice(0, head.length + 1 + payload.length), 'latin1'),
    signature,
  };
}

/** Without a prototype, so that only what the text says is there. */
function objectIn(part: string): Claims | null {
  const bytes = bytesIn(part);
  if (bytes === null || !isUtf8(bytes)) return null;
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
    return Object.setPrototypeOf(value, null) as Claims;
  } catch {
    return null;
  }
}

function bytesIn(part: string): Buffer | null {
  const bytes = Buffer.from(part, 'base64url');
  return bytes.toString('base64url') === part ? bytes : null;
}

function isAlgorithm(alg: unknown): alg is TokenAlgorithm {
  return TOKEN_ALGORITHMS.includes(alg as TokenAlgorithm);
}
