import { hash, randomBytes } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SECRET_BYTES = 20; // 160 bits
const SECRET_LENGTH = 27; // 62^27 > 2^160
const CHECKSUM_LENGTH = 6;
const CLIENT_ID_BYTES = 16;
const CLIENT_ID_LENGTH = 22; // 62^22 > 2^128
export const KEY_PATTERN = patternOf('hg_live_');
const CLIENT_SECRET_PATTERN = patternOf('hg_secret_');

function patternOf(prefix: string): RegExp {
  return new RegExp(`^(${prefix}[0-9A-Za-z]{${SECRET_LENGTH}})_([0-9A-Za-z]{${CHECKSUM_LENGTH}})$`);
}

type Random = (size: number) => Buffer;

/** A new API key: `hg_live_<27 base62>_<6 base62 of its checksum>`. It is shown once and never stored. */
export function newKeySecret(random: Random = randomBytes): string {
  return newSecret('hg_live_', random);
}

/** The secret of an OAuth client: `hg_secret_<27 base62>_<6 base62 of its checksum>`. It is shown once and never stored. */
export function newClientSecret(random: Random = randomBytes): string {
  return newSecret('hg_secret_', random);
}

/** The name of an OAuth client, which is no secret: `hgc_<22 base62>`. */
export function newClientId(random: Random = randomBytes): string {
  return `hgc_${base62(random(CLIENT_ID_BYTES), CLIENT_ID_LENGTH)}`;
}

function newSecret(prefix: string, random: Random): string {
  const body = prefix + base62(random(SECRET_BYTES), SECRET_LENGTH);
  return `${body}_${checksumOf(body)}`;
}

/** Whether a text is one of our keys, told without looking anything up: what scanners for leaked keys use. */
export function isWellFormedKey(text: string): boolean {
  return isWellFormed(KEY_PATTERN, text);
}

/** The same of the secret of an OAuth client. */
export function isWellFormedClientSecret(text: string): boolean {
  return isWellFormed(CLIENT_SECRET_PATTERN, text);
}

function isWellFormed(pattern: RegExp, text: string): boolean {
  const match = pattern.exec(text);
  return match?.[1] !== undefined && checksumOf(match[1]) === match[2];
}

/** @param body prefix and random part */
function checksumOf(body: string): string {
  return base62(hash('sha256', body, 'buffer').subarray(0, 6), CHECKSUM_LENGTH);
}

function base62(bytes: Buffer, length: number): string {
  let value = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let i = 0; i < length; i++) {
    text = ALPHABET[Number(value % 62n)] + text;
    value /= 62n;
  }
  return text;
}

/** SHA-256 of a whole secret; what is stored instead of it. 32 bytes. */
export function secretHash(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}

/** A new random token for people and replicas: `<prefix>_<40 hex digits>`. */
export function newToken(prefix: string): string {
  return `${prefix}_${randomBytes(SECRET_BYTES).toString('hex')}`;
}

/** How many bytes of a secret's hash name a key on the chain. */
export const KEY_ID_BYTES = 16;
