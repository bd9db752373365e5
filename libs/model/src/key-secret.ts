import { hash, randomBytes } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SECRET_BYTES = 20; // 160 bits
const SECRET_LENGTH = 27; // 62^27 > 2^160
const CHECKSUM_LENGTH = 6;
export const KEY_PATTERN = new RegExp(`^hg_live_([0-9A-Za-z]{${SECRET_LENGTH}})_([0-9A-Za-z]{${CHECKSUM_LENGTH}})$`);

/** A new API key: `hg_live_<27 base62>_<6 base62 of its checksum>`. It is shown once and never stored. */
export function newKeySecret(random: (size: number) => Buffer = randomBytes): string {
  const body = base62(BigInt(`0x${random(SECRET_BYTES).toString('hex')}`), SECRET_LENGTH);
  return `hg_live_${body}_${checksumOf(body)}`;
}

/** Whether a text is one of our keys, told without looking anything up: what scanners for leaked keys use. */
export function isWellFormedKey(text: string): boolean {
  const match = KEY_PATTERN.exec(text);
  return match?.[1] !== undefined && checksumOf(match[1]) === match[2];
}

function checksumOf(body: string): string {
  return base62(BigInt(`0x${hash('sha256', `hg_live_${body}`, 'hex').slice(0, 12)}`), CHECKSUM_LENGTH);
}

function base62(value: bigint, length: number): string {
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
