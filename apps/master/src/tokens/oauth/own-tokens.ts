import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { decodeProtectedHeader, errors, type JWK, jwtVerify } from 'jose';
import { revokedTokenKey } from '#model';
import { DataSource } from 'typeorm';
import { audienceOf } from '../../publishing/index.js';

/** What one of our access tokens says. */
export interface OwnToken {
  issuer: string;
  environment: string;
  client: string;
  audience: string;
  scope: string | undefined;
  jti: string;
  /** seconds since 1970 */
  issuedAt: number;
  expiresAt: number;
}

/** As gateways read them. */
const MOST_BYTES = 8 * 1024;
const KID = /^[A-Za-z0-9_-]{43}$/;

const KEY = `
  SELECT k.public_jwk AS jwk, k.environment_id AS environment, t.issuer FROM token_key k CROSS JOIN token_authority t WHERE k.kid = $1`;
const IN_FORCE = `
  SELECT FROM oauth_client c JOIN application a ON a.id = c.application_id
  WHERE c.id = $1 AND c.environment_id = $2 AND c.revoked_at IS NULL AND a.status = 'active'
    AND (c.not_before IS NULL OR c.not_before <= to_timestamp($3))
    AND NOT EXISTS (SELECT FROM revoked_token r WHERE r.environment_id = $2 AND r.chain_id = $4)`;

@Injectable()
export class OwnTokens {
  constructor(@InjectDataSource() private readonly source: DataSource) {}

  /**
   * @param skewSeconds how long ago it may have expired
   * @returns null for whatever is no access token of ours that has not expired
   */
  async read(token: string, skewSeconds = 0): Promise<OwnToken | null> {
    const kid = kidOf(token);
    if (kid === null) return null;
    const [found]: { jwk: JWK; environment: string; issuer: string }[] = await this.source.query(KEY, [kid]);
    if (!found) return null;
    const { jwk, environment, issuer } = found;
    const audience = audienceOf(environment);
    try {
      const { payload } = await jwtVerify<{ client_id: string; scope?: string }>(token, jwk, {
        algorithms: ['ES256'],
        typ: 'at+jwt',
        issuer,
        audience,
        clockTolerance: skewSeconds,
        requiredClaims: ['exp', 'iat', 'jti', 'client_id'],
      });
      const { client_id: client, scope, jti = '', iat: issuedAt = 0, exp: expiresAt = 0 } = payload;
      return { issuer, environment, client, audience, scope, jti, issuedAt, expiresAt };
    } catch (error) {
      if (error instanceof errors.JOSEError) return null;
      throw error;
    }
  }

  /** Whether a gateway that has applied everything would take it. */
  async isInForce({ client, environment, issuedAt, issuer, jti }: OwnToken): Promise<boolean> {
    const rows: unknown[] = await this.source.query(IN_FORCE, [
      client,
      environment,
      issuedAt,
      revokedTokenKey(issuer, jti),
    ]);
    return rows.length > 0;
  }
}

function kidOf(token: string): string | null {
  if (token.length > MOST_BYTES) return null;
  try {
    const { kid } = decodeProtectedHeader(token);
    return kid !== undefined && KID.test(kid) ? kid : null;
  } catch {
    return null; // no JWS at all
  }
}
