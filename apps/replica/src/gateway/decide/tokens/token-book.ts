import { hash } from 'node:crypto';
import { type ClientRecord, type ErrorCode, TABLE } from '#model';
import type { ChangedEntry, StateSnapshot } from '../../../state/state-snapshot.js';
import { RecordCache } from '../compile/record-cache.js';
import { IpList } from '../ip-list.js';
import { CheckBudget } from './check-budget.js';
import { factsOf, hasBegun, hasExpired, type TokenFacts } from './token-facts.js';
import type { TokenKey } from './token-key.js';
import { readToken } from './token-text.js';
import { keyFor, NO_ISSUERS, type TrustedIssuer, trustedIssuers } from './trusted-issuers.js';

/** Characters. What larger ones cost to read would be up to whoever sends them. */
const MAX_TOKEN = 8192;
/**
 * Of each generation. More than of keys, because another verification costs thirty times as much as another look; about 1 KiB each.
 * Those that are refused have a cache of their own: a flood of them drives no good one out.
 */
const CACHED_TOKENS = 16_384;
const CACHED_REFUSALS = 1024;
const CACHED_CLIENTS = 4096;

/** A client as requests need it. */
interface CompiledClient {
  /** the application's id */
  application: string;
  /** milliseconds since 1970 */
  notBefore: number;
  scopes: ReadonlySet<string> | null;
  ips: IpList | null;
}

export interface TokenRefusal {
  code: ErrorCode;
  detail: string;
}

/** Who may do what with a token. */
export interface TokenHolder {
  key: null;
  /** what the chain names it by, one character per byte */
  client: string;
  /** the application's id */
  application: string;
  /** milliseconds since 1970 */
  expiresAt: number;
  scopes: ReadonlySet<string>;
  ips: IpList | null;
}

/** A token whose signature is good. What the state says of it was looked up when the book had `generation`. */
interface Verified {
  facts: TokenFacts;
  issuer: string;
  key: TokenKey;
  generation: number;
  standing: TokenHolder | TokenRefusal;
}

/**
 * Tokens that were sent, and what became of them. A signature is verified once, and good for as long as its key is trusted; whether a token has expired
 * or was revoked, and whose it is, is asked of the state that serves, each time. All of it is synchronous: look-ups in memory, in the
 * snapshot once for each revision and token, and one verification.
 */
export class TokenBook {
  private readonly verified = new RecordCache<Verified>(CACHED_TOKENS);
  private readonly refused = new RecordCache<TokenRefusal>(CACHED_REFUSALS);
  private readonly clients = new RecordCache<CompiledClient | null>(CACHED_CLIENTS);
  private readonly budget = new CheckBudget();
  private snapshot: StateSnapshot | null = null;
  private issuers = NO_ISSUERS;
  /** of the snapshots that it went over to */
  private generation = 0;

  /**
   * @param changes null: anything may have changed
   * @throws what reading the snapshot threw; nothing has changed then
   * @returns what makes it go over, which cannot fail
   */
  prepare(snapshot: StateSnapshot, changes: readonly ChangedEntry[] | null): () => void {
    const same = changes?.every(({ table }) => table !== TABLE.jwks);
    const issuers = same ? this.issuers : trustedIssuers(this.issuers, snapshot);
    return () => {
      this.snapshot = snapshot;
      this.generation += 1;
      if (changes === null) this.clients.clear();
      for (const { table, key } of changes ?? [])
        if (table === TABLE.client) this.clients.delete(key.toString('latin1'));
      // what was refused may be good by a key that was not there
      if (issuers !== this.issuers) this.refused.clear();
      this.issuers = issuers;
    };
  }

  /** Why issuers cannot be used, by `issuer <name>`. */
  get failed(): ReadonlyMap<string, string> {
    return this.issuers.failed;
  }

  close(): void {
    this.snapshot = null;
  }

  /**
   * @param address whose request it is; empty where nobody knows
   * @param now milliseconds since 1970
   */
  holderOf(token: string, address: string, now: number): TokenHolder | TokenRefusal {
    if (token.length > MAX_TOKEN) return invalid(`has ${token.length} characters; at most ${MAX_TOKEN} are read`);
    const id = hash('sha256', token, 'binary');
    const known = this.verified.get(id);
    if (known && this.isTrusted(known)) return refusalByTime(known.facts, now) ?? known.standing;
    return this.refused.get(id) ?? this.look(token, id, address, now);
  }

  /** What costs least comes first, so that the signature is asked of tokens only that would be good with it. */
  private look(token: string, id: string, address: string, now: number): TokenHolder | TokenRefusal {
    const text = readToken(token);
    if (typeof text === 'string') return this.refuse(id, text);
    const issuer = typeof text.claims.iss === 'string' ? this.issuers.byName.get(text.claims.iss) : undefined;
    if (!issuer) return this.refuse(id, 'is of an issuer (iss) that is not trusted in this environment');
    if (!isTypeOf(issuer, text.typ))
      return this.refuse(id, `is no access token by its typ, ${issuer.typ ?? 'at+jwt or JWT'} is`);
    const key = keyFor(issuer, text);
    if (key === null) return this.refuse(id, 'names no key (kid) of its issuer that is known here, with its algorithm');
    const facts = factsOf(text.claims, issuer);
    if (typeof facts === 'string') return this.refuse(id, facts);
    // of these, time or another revision may make a good one
    const standing = this.standingOf(facts);
    const early = refusalByTime(facts, now) ?? ('code' in standing ? standing : null);
    if (early) return early;

    if (!this.budget.allows(address, key.cost, now))
      return {
        code: 'credential_unchecked',
        detail: 'too many tokens that were not seen before are to be verified; send it again',
      };
    if (!key.verifies(text.input, text.signature)) {
      this.budget.fail(address);
      return this.refuse(id, 'has a signature that is not of the key that it names');
    }
    this.verified.set(id, { facts, issuer: issuer.issuer, key, generation: this.generation, standing });
    return standing;
  }

  private refuse(id: string, what: string): TokenRefusal {
    const refusal = invalid(what);
    this.refused.set(id, refusal);
    return refusal;
  }

  /** Whether its key is still one of its issuer's, and brings what the state says of it up to date. */
  private isTrusted(known: Verified): boolean {
    if (known.generation === this.generation) return true;
    if (!this.issuers.byName.get(known.issuer)?.keys.has(known.key)) return false;
    known.standing = this.standingOf(known.facts);
    known.generation = this.generation;
    return true;
  }

  private standingOf({ client: id, revocation, issuedAt, expiresAt, scopes }: TokenFacts): TokenHolder | TokenRefusal {
    const client = this.client(id);
    if (!client)
      return { code: 'credential_unknown', detail: 'the client of the token is not known here, or was revoked' };
    if (revocation !== null && this.snapshot?.get(TABLE.revoked_token, Buffer.from(revocation, 'latin1')))
      return { code: 'credential_revoked', detail: 'the token was revoked' };
    if (client.notBefore > (issuedAt ?? 0))
      return { code: 'credential_revoked', detail: 'all tokens of the client that were issued so early were revoked' };
    const { application, ips, scopes: granted } = client;
    return { key: null, client: id, application, expiresAt, ips, scopes: granted ? common(scopes, granted) : scopes };
  }

  private client(id: string): CompiledClient | null {
    let client = this.clients.get(id);
    if (client === undefined) {
      const value = this.snapshot?.get(TABLE.client, Buffer.from(id, 'latin1')) ?? null;
      client = value && compileClient(value);
      this.clients.set(id, client);
    }
    return client;
  }
}

function invalid(what: string): TokenRefusal {
  return { code: 'credential_invalid', detail: `the token ${what}` };
}

/** @throws SyntaxError or TypeError for a value that is no such record */
function compileClient(value: Buffer): CompiledClient {
  const { application, notBefore, scopes, ips } = JSON.parse(value.toString('utf8')) as ClientRecord;
  return {
    application,
    notBefore: (notBefore ?? 0) * 1000,
    scopes: scopes ? new Set(scopes) : null,
    ips: ips ? new IpList(ips) : null,
  };
}

function refusalByTime(facts: TokenFacts, now: number): TokenRefusal | null {
  if (hasExpired(facts, now))
    return { code: 'credential_expired', detail: `the token expired at ${new Date(facts.expiresAt).toISOString()}` };
  if (hasBegun(facts, now)) return null;
  return {
    code: 'credential_not_yet_valid',
    detail: 'the token begins later (nbf, iat) than now by the clock of this replica',
  };
}

function isTypeOf(issuer: TrustedIssuer, typ: string | undefined): boolean {
  return typ === 'at+jwt' || (issuer.typ === undefined && (typ === undefined || typ === 'jwt'));
}

function common(a: ReadonlySet<string>, b: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...a].filter((one) => b.has(one)));
}
