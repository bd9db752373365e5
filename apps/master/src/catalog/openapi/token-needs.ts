import type { Route } from '#model';
import { isObject, type JsonObject, members, own, type Place } from './place.js';
import type { Warnings } from './warnings.js';

/** What a route says so that it takes the tokens that a document asks for. */
export interface TokenNeed {
  security: Extract<Route['security'], 'jwt' | 'key-or-jwt'>;
  scopes: string[];
}

type Scheme = 'scoped token' | 'token' | 'key' | 'other';

/** Which operations of a document ask for access tokens, and with which scopes. */
export class TokenNeeds {
  /** requirements that routes were made of */
  readonly used = new Set<unknown>();
  private readonly schemes: ReadonlyMap<string, Scheme>;

  /** @param honour whether routes are to take tokens; else it is only told where the document has them */
  constructor(
    private readonly root: JsonObject,
    private readonly honour: boolean,
    private readonly warnings: Warnings,
  ) {
    const all = members(own(own(root, 'components'), 'securitySchemes'));
    this.schemes = new Map(all.map(([name, scheme]) => [name, kindOf(scheme)]));
  }

  /**
   * Requirements are alternatives. A route has one list of scopes, so it asks for those of the first alternative that has a token: never for
   * less than the document. Null: no alternative has one, or one asks for nothing.
   */
  of(operation: JsonObject, place: Place): TokenNeed | null {
    const list = own(operation, 'security') ?? own(this.root, 'security');
    const alternatives = Array.isArray(list) ? list.filter(isObject) : [];
    const kinds = alternatives.map((one) => this.kindsIn(one));
    const first = kinds.findIndex(hasToken);
    if (first < 0 || kinds.some(({ length }) => length === 0)) return null;
    if (!this.honour) {
      this.warnings.add('operations that ask for tokens', place);
      return null;
    }
    const withTokens = alternatives.filter((_, i) => hasToken(kinds[i] ?? []));
    const withKeys = kinds.some((one) => !hasToken(one) && one.includes('key'));
    const scopes = this.scopesOf(alternatives[first] as JsonObject);
    const others = withTokens.map((one) => this.scopesOf(one));
    if (others.some((one) => !same(one, scopes)) || (withKeys && scopes.length > 0))
      this.warnings.add('alternatives with other scopes', place);
    if (kinds.some((one) => hasToken(one) && one.some((kind) => !isToken(kind))))
      this.warnings.add('tokens together with something else', place);
    for (const one of withTokens) this.used.add(one);
    return { security: withKeys ? 'key-or-jwt' : 'jwt', scopes };
  }

  private kindsIn(requirement: JsonObject): Scheme[] {
    return Object.keys(requirement).map((name) => this.schemes.get(name) ?? 'other');
  }

  private scopesOf(requirement: JsonObject): string[] {
    const lists = Object.entries(requirement).map(([name, list]) =>
      // what other schemes list are roles, which nobody sends
      this.schemes.get(name) === 'scoped token' && Array.isArray(list)
        ? list.filter((one) => typeof one === 'string')
        : [],
    );
    return [...new Set(lists.flat())];
  }
}

/** What a route asks for that has the operations of both: a credential that would do for either has to have the scopes of both. */
export function mergedNeed(a: TokenNeed | null, b: TokenNeed | null): TokenNeed | null {
  if (a === null && b === null) return null;
  const scopes = [...new Set([...(a?.scopes ?? []), ...(b?.scopes ?? [])])];
  return { security: a?.security === b?.security ? (a as TokenNeed).security : 'key-or-jwt', scopes };
}

const isToken = (kind: Scheme): boolean => kind === 'token' || kind === 'scoped token';
const hasToken = (kinds: readonly Scheme[]): boolean => kinds.some(isToken);
const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one) => b.includes(one));

function kindOf(scheme: unknown): Scheme {
  const type = own(scheme, 'type');
  if (type === 'oauth2' || type === 'openIdConnect') return 'scoped token';
  if (type === 'apiKey') return 'key';
  return type === 'http' && String(own(scheme, 'scheme')).toLowerCase() === 'bearer' ? 'token' : 'other';
}
