import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** A certificate and its private key, in PEM. */
export interface TestCertificate {
  cert: string;
  key: string;
}

export interface CertificateWish {
  /** DNS names, the first of them its common name */
  names: string[];
  /** from now; default 30, below 0: it has expired */
  days?: number;
  /** default: it signs itself */
  issuer?: TestCertificate & { name: string };
}

const DAY_MS = 86_400_000;

/** Made here and now, so that tests need no openssl, and none of them expires. ECDSA on P-256. */
export function makeCertificate({ names, days = 30, issuer }: CertificateWish): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [name = 'test'] = names;
  const isCa = der(0x30, der(0x01, Buffer.of(0xff)));
  const extensions = [
    extension('551d11', der(0x30, ...names.map((dns) => der(0x82, Buffer.from(dns))))), // subjectAltName
    extension('551d13', issuer ? der(0x30) : isCa), // basicConstraints
  ];
  const now = Date.now();
  const body = der(
    0x30,
    der(0xa0, integer(Buffer.of(2))), // version 3
    integer(Buffer.concat([Buffer.of(1), randomBytes(8)])),
    ECDSA_SHA256,
    distinguishedName(issuer?.name ?? name),
    der(0x30, time(now + Math.min(days, 0) * DAY_MS - DAY_MS), time(now + days * DAY_MS)),
    distinguishedName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(0x30, ...extensions)),
  );
  const signer: KeyObject | string = issuer?.key ?? privateKey;
  const signature = sign('sha256', body, signer);
  const whole = der(0x30, body, ECDSA_SHA256, der(0x03, Buffer.of(0), signature));
  return { cert: pem(whole), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** Tag, length, value (X.690). */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), value]);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), value]);
}

const integer = (bytes: Buffer): Buffer => der(0x02, bytes);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const ECDSA_SHA256 = der(0x30, oid('2a8648ce3d040302'));
const extension = (id: string, value: Buffer): Buffer => der(0x30, oid(id), der(0x04, value));

function distinguishedName(name: string): Buffer {
  return der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, Buffer.from(name)))));
}

function time(ms: number): Buffer {
  return der(0x18, Buffer.from(new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')));
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
