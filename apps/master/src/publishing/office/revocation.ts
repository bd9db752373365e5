/**
 * What was taken away from somebody. `key`: the entry of a key, an application, a client, an issuer or a revoked token, a
 * subscription's id, 16 bytes, a public key that the chain trusts no more, 32 bytes, issuer and kid of a key of tokens, a line
 * each, or, for a client that is an application's no more, its entry and the application's, 16 bytes each.
 */
export interface Revocation {
  what:
    | 'key'
    | 'expiry'
    | 'key-bounds'
    | 'subscription'
    | 'suspension'
    | 'signing-key'
    | 'client'
    | 'client-bounds'
    | 'tokens'
    | 'token'
    | 'token-key'
    | 'issuer'
    | 'issuer-rules';
  key: Buffer;
  target: string;
  detail: object | null;
}

export interface Revocations {
  made: Revocation[];
  /** what was given back */
  undone: Pick<Revocation, 'what' | 'key'>[];
}

/** What a credential may be used for, and where from, as the chain says last; a row that allows more is narrowed to it. */
export function boundsOf({ scopes, ips }: { scopes?: string[]; ips?: string[] }): object {
  return { scopes: scopes ?? null, ips: ips ?? null };
}
