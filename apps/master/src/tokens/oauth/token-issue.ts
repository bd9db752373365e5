import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { SignJWT } from 'jose';
import { sleep } from '#platform';
import type { MasterRequest } from '../../http/request.js';
import { audienceOf } from '../../publishing/index.js';
import { type PrivateKey, TokenKeys } from '../keys/token-keys.js';
import { type AuthenticClient, ClientAuthentication } from './client-authentication.js';
import { type Form, required } from './form.js';
import { OAuthFault } from './oauth-fault.js';

/** RFC 6749, 5.1. */
export interface IssuedToken {
  access_token: string;
  token_type: 'Bearer';
  expires_in: number;
  scope?: string;
}

const SCOPES = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/;
/** Longer than it takes until the second in which tokens were revoked is over; see `issuing-lock.ts`. */
const MOST_WAIT_MS = 3_000;

@Injectable()
export class TokenIssue {
  constructor(
    private readonly clients: ClientAuthentication,
    private readonly keys: TokenKeys,
  ) {}

  /** @throws OAuthFault */
  async issue(request: MasterRequest, form: Form): Promise<IssuedToken> {
    const grant = required(form, 'grant_type');
    if (grant !== 'client_credentials')
      throw new OAuthFault('unsupported_grant_type', 'the only grant type is client_credentials');
    let client = await this.clients.authenticate(request, form);
    const scopes = scopesFor(client, form.get('scope'));
    let key = this.keyFor(client);
    if (!key) {
      await this.keys.another(client.environment);
      client = await this.clients.authenticate(request, form);
      key = this.keyFor(client);
    }
    if (!key) throw new Error(`there is no key for "${client.environment}" that was just made`);
    return sign(await reached(client), key, scopes);
  }

  private keyFor({ keys, now, tokenSeconds }: AuthenticClient): PrivateKey | null {
    return this.keys.choose(keys, now, tokenSeconds);
  }
}

/** All that the client has, where it does not ask for fewer. */
function scopesFor({ scopes }: AuthenticClient, asked: string | undefined): string[] {
  if (asked === undefined) return scopes;
  if (!SCOPES.test(asked)) throw new OAuthFault('invalid_scope', 'scope is not a list of scopes, each after one space');
  const wanted = [...new Set(asked.split(' '))];
  if (wanted.some((scope) => !scopes.includes(scope)))
    throw new OAuthFault('invalid_scope', 'the client does not have every scope that it asks for');
  return wanted;
}

/** Waits for the time before which tokens of the client are refused. */
async function reached(client: AuthenticClient): Promise<AuthenticClient> {
  const wait = client.notBefore === null ? 0 : client.notBefore - client.now;
  if (wait <= 0) return client;
  if (wait > MOST_WAIT_MS) throw new OAuthFault('temporarily_unavailable', 'tokens are not issued yet', 503);
  await sleep(wait);
  return { ...client, now: client.now + wait };
}

/** An access token by RFC 9068. */
async function sign(
  client: AuthenticClient,
  { kid, key }: PrivateKey,
  scopes: readonly string[],
): Promise<IssuedToken> {
  const { id, environment, issuer, tokenSeconds, expiresAt } = client;
  const issuedAt = Math.floor(client.now / 1000);
  const end = issuedAt + tokenSeconds;
  const expiry = expiresAt === null ? end : Math.min(end, Math.ceil(expiresAt / 1000));
  const scope = scopes.join(' ');
  const token = await new SignJWT({ client_id: id, ...(scope === '' ? {} : { scope }) })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid })
    .setIssuer(issuer)
    .setSubject(id)
    .setAudience(audienceOf(environment))
    .setIssuedAt(issuedAt)
    .setExpirationTime(expiry)
    .setJti(randomBytes(16).toString('base64url'))
    .sign(key);
  return {
    access_token: token,
    token_type: 'Bearer',
    expires_in: expiry - issuedAt,
    ...(scope === '' ? {} : { scope }),
  };
}
