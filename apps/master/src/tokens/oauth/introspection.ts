import { Injectable } from '@nestjs/common';
import { secretHash } from '#model';
import { AccessTokens } from '../../access/access-tokens.js';
import type { MasterRequest } from '../../http/request.js';
import { ClientAuthentication } from './client-authentication.js';
import { type Form, required } from './form.js';
import { OAuthFault } from './oauth-fault.js';
import { OwnTokens } from './own-tokens.js';

/** RFC 7662, 2.2. Of a token that is not active nothing else is said. */
export type Introspection =
  | { active: false }
  | {
      active: true;
      scope?: string;
      client_id: string;
      token_type: 'Bearer';
      exp: number;
      iat: number;
      sub: string;
      aud: string;
      iss: string;
      jti: string;
    };

const BEARER = /^Bearer +([\x21-\x7e]{1,512}) *$/i;

@Injectable()
export class TokenIntrospection {
  constructor(
    private readonly clients: ClientAuthentication,
    private readonly people: AccessTokens,
    private readonly tokens: OwnTokens,
  ) {}

  /** For whoever has an access token of the master, and for clients about tokens of their own. @throws OAuthFault */
  async introspect(request: MasterRequest, form: Form): Promise<Introspection> {
    const own = await this.onlyOwnOf(request, form);
    const token = await this.tokens.read(required(form, 'token'));
    if (!token || (own !== null && token.client !== own) || !(await this.tokens.isInForce(token)))
      return { active: false };
    return {
      active: true,
      ...(token.scope === undefined ? {} : { scope: token.scope }),
      client_id: token.client,
      token_type: 'Bearer',
      exp: token.expiresAt,
      iat: token.issuedAt,
      sub: token.client,
      aud: token.audience,
      iss: token.issuer,
      jti: token.jti,
    };
  }

  /** @returns the client that asks; null: somebody with a role */
  private async onlyOwnOf(request: MasterRequest, form: Form): Promise<string | null> {
    const { authorization = '' } = request.headers;
    if (!/^Bearer( |$)/i.test(authorization)) return (await this.clients.authenticate(request, form)).id;
    const bearer = BEARER.exec(authorization)?.[1];
    if (bearer && (await this.people.person(secretHash(bearer)))) return null;
    throw new OAuthFault('invalid_token', 'the access token is unknown, expired or withdrawn', 401, {
      'www-authenticate': 'Bearer realm="heliograph", error="invalid_token"',
    });
  }
}
