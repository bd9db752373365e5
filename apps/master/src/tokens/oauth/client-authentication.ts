import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { isWellFormedClientSecret, secretHash } from '#model';
import { type Logger, sleep } from '#platform';
import { DataSource } from 'typeorm';
import { LOG } from '../../config/tokens.js';
import type { MasterRequest } from '../../http/request.js';
import { moment } from '../issuing-lock.js';
import type { StoredKey } from '../keys/token-keys.js';
import { clientCredentials } from './client-credentials.js';
import { FailureBook } from './failure-book.js';
import type { Form } from './form.js';
import { invalidClient, OAuthFault } from './oauth-fault.js';

/** A client whose secret was right, with all that a token for it needs. Times in milliseconds since 1970, by PostgreSQL's clock. */
export interface AuthenticClient {
  id: string;
  environment: string;
  scopes: string[];
  tokenSeconds: number;
  expiresAt: number | null;
  notBefore: number | null;
  issuer: string;
  /** before it was read: a later change of the client is not in it */
  now: number;
  /** of its environment */
  keys: StoredKey[];
}

const BUSY_MS = 50;
const MOST_BUSY_MS = 3_000;
const CLIENT_ID = /^hgc_[0-9A-Za-z]{22}$/;

/** One read by primary keys, after that of the time; nothing is written for a token. */
const AUTHENTICATE = `
  SELECT c.environment_id AS environment, c.scopes, c.token_seconds AS "tokenSeconds", c.expires_at AS "expiresAt",
    c.not_before AS "notBefore", t.issuer,
    (SELECT coalesce(json_agg(json_build_object('kid', k.kid, 'sealed', encode(k.sealed, 'base64'), 'sealedBy', k.sealed_by,
        'signsFrom', k.signs_from, 'leavesAt', k.leaves_at)), '[]') FROM token_key k WHERE k.environment_id = c.environment_id) AS keys
  FROM oauth_client c JOIN application a ON a.id = c.application_id CROSS JOIN token_authority t
  WHERE c.id = $1 AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > now()) AND a.status = 'active'
    AND EXISTS (SELECT FROM oauth_client_secret s WHERE s.client_id = c.id AND s.hash = $2 AND (s.expires_at IS NULL OR s.expires_at > now()))`;

interface Row {
  environment: string;
  scopes: string[];
  tokenSeconds: number;
  expiresAt: Date | null;
  notBefore: Date | null;
  issuer: string;
  keys: { kid: string; sealed: string; sealedBy: string; signsFrom: string; leavesAt: string | null }[];
}

@Injectable()
export class ClientAuthentication {
  private readonly failures = new FailureBook();

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  /** @throws OAuthFault: who is wrong learns nothing of what is right */
  async authenticate(request: MasterRequest, form: Form): Promise<AuthenticClient> {
    const { id, secret } = clientCredentials(request.headers.authorization, form);
    // what cannot be an id and a secret of ours costs no look at the database
    if (!CLIENT_ID.test(id) || !isWellFormedClientSecret(secret)) throw WRONG();
    const hash = secretHash(secret);
    const wait = this.failures.wait(request.ip, id, hash, Date.now());
    if (wait > 0)
      throw new OAuthFault('temporarily_unavailable', 'too many attempts have failed; wait, and try again', 429, {
        'retry-after': String(wait),
      });
    const client = await this.read(id, hash);
    if (client) this.failures.succeeded(id, hash);
    else {
      if (this.failures.failed(request.ip, id, hash, Date.now()))
        this.log.warn({ client: id, address: request.ip }, 'a client fails to authenticate; it is refused for a while');
      throw WRONG();
    }
    return client;
  }

  /** @throws OAuthFault while all tokens of the client are being revoked, and PostgreSQL takes its time */
  private async momentFor(id: string): Promise<number> {
    for (let waited = 0; waited < MOST_BUSY_MS; waited += BUSY_MS) {
      const now = await moment(this.source, id);
      if (now !== null) return now;
      await sleep(BUSY_MS);
    }
    throw new OAuthFault('temporarily_unavailable', 'the tokens of the client are being revoked', 503, {
      'retry-after': '1',
    });
  }

  private async read(id: string, hash: Buffer): Promise<AuthenticClient | null> {
    const now = await this.momentFor(id);
    const [row]: Row[] = await this.source.query(AUTHENTICATE, [id, hash]);
    if (!row) return null;
    return {
      id,
      environment: row.environment,
      scopes: row.scopes,
      tokenSeconds: row.tokenSeconds,
      expiresAt: row.expiresAt?.getTime() ?? null,
      notBefore: row.notBefore?.getTime() ?? null,
      issuer: row.issuer,
      now,
      keys: row.keys.map(({ sealed, signsFrom, leavesAt, ...key }) => ({
        ...key,
        sealed: Buffer.from(sealed, 'base64'),
        signsFrom: Date.parse(signsFrom),
        leavesAt: leavesAt === null ? null : Date.parse(leavesAt),
      })),
    };
  }
}

const WRONG = (): OAuthFault =>
  invalidClient('the client is unknown, its secret is wrong, or it is expired, revoked or suspended');
