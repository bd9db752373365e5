import { Controller, Get, Inject } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { MasterConfig } from '../../config/config.js';
import { CONFIG } from '../../config/tokens.js';
import type { Answer } from '../../http/request.js';
import { OwnIssuer } from '../own-issuer.js';

/** Seconds; a key is announced for twice as long at least before it signs anything. */
const MOST_CACHED_SECONDS = 300;
const AUTHENTICATION = ['client_secret_basic', 'client_secret_post'];

@Controller('.well-known')
export class WellKnownController {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(CONFIG) private readonly config: MasterConfig,
    private readonly issuer: OwnIssuer,
  ) {}

  /** RFC 8414. Where the issuer's name has a path, this is found before it: see `stripIssuerPath`. */
  @Get('oauth-authorization-server')
  async metadata(): Promise<Answer> {
    const issuer = await this.issuer.name();
    return this.cached({
      issuer,
      token_endpoint: `${issuer}/oauth/token`,
      token_endpoint_auth_methods_supported: AUTHENTICATION,
      grant_types_supported: ['client_credentials'],
      // no response_types_supported: there is no endpoint that one is asked of. Section 2 requires it, 3.2 forbids an empty list
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      introspection_endpoint: `${issuer}/oauth/introspect`,
      introspection_endpoint_auth_methods_supported: [...AUTHENTICATION, 'Bearer'],
      revocation_endpoint: `${issuer}/oauth/revoke`,
      revocation_endpoint_auth_methods_supported: AUTHENTICATION,
      service_documentation: `${issuer}/docs`,
    });
  }

  /** The keys of all environments: a token names its own, and its audience says where it is good for. */
  @Get('jwks.json')
  async keys(): Promise<Answer> {
    const rows: { jwk: object }[] = await this.source.query('SELECT public_jwk AS jwk FROM token_key ORDER BY kid');
    return this.cached({ keys: rows.map(({ jwk }) => jwk) }, 'application/jwk-set+json');
  }

  private cached(body: object, type = 'application/json'): Answer {
    const seconds = Math.min(MOST_CACHED_SECONDS, Math.floor(this.config.HELIO_TOKEN_KEY_NOTICE_SECONDS / 2));
    return { status: 200, body, headers: { 'content-type': type, 'cache-control': `public, max-age=${seconds}` } };
  }
}
