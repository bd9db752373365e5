import { constants, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import {
  clientKey,
  type ClientRecord,
  encodeClientRecord,
  encodeIssuerRecord,
  encodeRevokedToken,
  issuerKey,
  type IssuerRecord,
  type Op,
  type PublicJwk,
  revokedTokenKey,
  TABLE,
  type TokenAlgorithm,
} from '#model';

const CLIENT = 'hgc_client';

interface SigningKey {
  jwk: PublicJwk;
  privateKey: KeyObject;
}

/** The bytes that a signature is of are made here, and not by a library: tests need tokens that no library makes. */
export class TokenIssuer {
  readonly keys: SigningKey[] = [];

  constructor(
    readonly issuer = 'https://issuer.example',
    private readonly now = Date.now,
    ...algorithms: TokenAlgorithm[]
  ) {
    for (const alg of algorithms.length > 0 ? algorithms : (['ES256'] as const)) this.addKey(alg);
  }

  addKey(alg: TokenAlgorithm, kid: string | undefined = `key-${this.keys.length + 1}`): SigningKey {
    const { publicKey, privateKey } = pairOf(alg);
    const jwk = { ...publicKey.export({ format: 'jwk' }), alg, ...(kid === undefined ? {} : { kid }) } as PublicJwk;
    const key = { jwk, privateKey };
    this.keys.push(key);
    return key;
  }

  op(more: Partial<IssuerRecord> = {}): Op {
    const record: IssuerRecord = {
      issuer: this.issuer,
      audience: ['urn:heliograph:prod'],
      algorithms: [...new Set(this.keys.map(({ jwk }) => jwk.alg))],
      claim: 'client_id',
      keys: this.keys.map(({ jwk }) => jwk),
      ...more,
    };
    return { table: TABLE.jwks, key: issuerKey(this.issuer), value: encodeIssuerRecord(record) };
  }

  clientOp(application: string, more: Partial<ClientRecord> = {}, id = CLIENT): Op {
    const value = encodeClientRecord({ application, ...more });
    return { table: TABLE.client, key: clientKey(this.issuer, id), value };
  }

  revokedOp(jti: string, expiresAt = this.now() + 3_600_000): Op {
    return { table: TABLE.revoked_token, key: revokedTokenKey(this.issuer, jti), value: encodeRevokedToken(expiresAt) };
  }

  claims(more: object = {}): Record<string, unknown> {
    const seconds = Math.floor(this.now() / 1000);
    return {
      iss: this.issuer,
      sub: CLIENT,
      client_id: CLIENT,
      aud: 'urn:heliograph:prod',
      iat: seconds,
      exp: seconds + 3600,
      jti: randomUUID(),
      ...more,
    };
  }

  token(claims: object = {}, header: object = {}, key = this.keys[0] as SigningKey): string {
    return this.signed(JSON.stringify(this.claims(claims)), header, key);
  }

  signed(payload: string | Buffer, header: object = {}, key = this.keys[0] as SigningKey): string {
    const { alg, kid } = key.jwk;
    const head = JSON.stringify({ typ: 'at+jwt', alg, kid, ...header });
    const input = `${Buffer.from(head).toString('base64url')}.${Buffer.from(payload).toString('base64url')}`;
    return `${input}.${signatureOf(alg, key.privateKey, input).toString('base64url')}`;
  }
}

function pairOf(alg: TokenAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519');
  const namedCurve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg as string];
  return namedCurve === undefined
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve });
}

function signatureOf(alg: TokenAlgorithm, privateKey: KeyObject, input: string): Buffer {
  const bytes = Buffer.from(input);
  if (alg === 'EdDSA') return sign(null, bytes, privateKey);
  const digest = `sha${alg.slice(2)}`;
  if (alg.startsWith('ES')) return sign(digest, bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  if (alg.startsWith('RS')) return sign(digest, bytes, privateKey);
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants;
  return sign(digest, bytes, { key: privateKey, padding, saltLength });
}
