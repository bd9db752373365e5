/**
 * What was taken away from somebody. `key`: the entry of a key, an application, a client or a revoked token, a subscription's
 * id, 16 bytes, a public key that the chain trusts no more, 32 bytes, or issuer and kid of a key of tokens, a line each.
 */
export interface Revocation {
  what: 'key' | 'expiry' | 'subscription' | 'suspension' | 'signing-key' | 'client' | 'tokens' | 'token' | 'token-key';
  key: Buffer;
  target: string;
  detail: object | null;
}

export interface Revocations {
  made: Revocation[];
  /** what was given back */
  undone: Pick<Revocation, 'what' | 'key'>[];
}
