import { Injectable } from '@nestjs/common';
import { decodeJwt, errors, type JWTPayload } from 'jose';
import { fail, type HelioError, lineOfText, revokedTokenKey } from '#model';
import { credentialEvent } from '../../events/event-kinds.js';
import { type Answer, type Caller, ok } from '../../http/request.js';
import { revokedTokenMark } from '../../publishing/index.js';
import type { WriteTx } from '../../writes/write-tx.js';
import { Writes } from '../../writes/writes.js';
import { MOST_TOKEN_SECONDS } from '../clients/clients.endpoints.js';
import { CLOCK_SKEW_SECONDS } from '../keys/choose-key.js';
import { OwnIssuer } from '../own-issuer.js';
import type { RevokedTokenView } from './revoked-tokens.endpoints.js';

/** A token as it is revoked. */
export interface Revoked {
  environment: string;
  issuer: string;
  jti: string;
  expiresAt: Date;
  /** the client that revokes it by itself; null: somebody who may revoke any */
  client: string | null;
}

export interface Named {
  token?: string;
  jti?: string;
  issuer?: string;
  expiresAt?: string;
}

/** The chain keeps whole seconds in 32 bits. */
const LAST = 0xffff_ffff;
const name = lineOfText(512);

@Injectable()
export class RevokedTokensService {
  constructor(
    private readonly writes: Writes,
    private readonly issuer: OwnIssuer,
  ) {}

  revoke(caller: Caller, environment: string, named: Named): Promise<Answer<RevokedTokenView>> {
    return this.writes.run(caller, async (tx) => {
      const rows: unknown[] = await tx.manager.query('SELECT FROM environment WHERE id = $1 FOR KEY SHARE', [
        environment,
      ]);
      if (rows.length === 0) throw fail('not_found', `there is no environment "${environment}"`);
      const own = await this.issuer.name(tx.manager, true);
      const { issuer, jti, expiresAt } = named.token === undefined ? byJti(named, own) : ofToken(named.token);
      await addRevoked(tx, { environment, issuer, jti, expiresAt, client: null });
      return ok({ environment, issuer, jti, expiresAt: expiresAt.toISOString() });
    });
  }
}

/** Writes the entry, its marker and a line of the audit log. An entry that is there stays as long as it would have. */
export async function addRevoked(tx: WriteTx, { environment, issuer, jti, expiresAt, client }: Revoked): Promise<void> {
  const key = revokedTokenKey(issuer, jti);
  await tx.manager.query(
    `INSERT INTO revoked_token AS r (environment_id, chain_id, client_id, expires_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (environment_id, chain_id) DO UPDATE SET expires_at = greatest(r.expires_at, excluded.expires_at)`,
    [environment, key, client, expiresAt],
  );
  tx.mark([environment], revokedTokenMark(key));
  tx.audit({
    action: 'token.revoke',
    target: `token/${key.toString('hex')}`,
    after: { environment, issuer, jti, expiresAt: expiresAt.toISOString() },
  });
  const view = { id: key.toString('hex'), environment, name: jti, expiresAt: expiresAt.toISOString() };
  tx.event(credentialEvent('credential.revoked', 'token', view));
}

type Token = Pick<Revoked, 'issuer' | 'jti' | 'expiresAt'>;

function byJti({ jti = '', issuer, expiresAt }: Named, own: string): Token {
  const isOwn = issuer === undefined || issuer === own;
  if (expiresAt === undefined && !isOwn)
    throw faulty('expiresAt', 'is missing', 'say when the token expires: it was issued by somebody else');
  const latest = Date.now() + (MOST_TOKEN_SECONDS + CLOCK_SKEW_SECONDS) * 1000;
  return { issuer: issuer ?? own, jti, expiresAt: expiresAt === undefined ? new Date(latest) : new Date(expiresAt) };
}

function ofToken(token: string): Token {
  const claims = claimsOf(token);
  const [issuer, jti] = [name.safeParse(claims.iss), name.safeParse(claims.jti)];
  const { exp } = claims;
  if (!issuer.success) throw faulty('token', 'has no issuer that can be named', 'a claim iss');
  if (!jti.success)
    throw faulty('token', 'has no jti, by which it could be revoked', 'revoke its client, or the tokens of it');
  if (typeof exp !== 'number' || !(exp >= 0 && exp <= LAST))
    throw faulty('token', 'has no expiry', 'a claim exp before the year 2106');
  return { issuer: issuer.data, jti: jti.data, expiresAt: new Date(Math.ceil(exp) * 1000) };
}

function claimsOf(token: string): JWTPayload {
  try {
    return decodeJwt(token);
  } catch (error) {
    if (error instanceof errors.JOSEError) throw faulty('token', 'is no JWT', 'three parts in base64url, with dots');
    throw error;
  }
}

function faulty(field: string, problem: string, expected: string): HelioError {
  return fail('invalid_request', `${field}: ${problem}`, { fields: [{ field, problem, expected }] });
}
