import { z } from 'zod';
import { encodeJson, encodeText } from './records.js';

/** Key of the entry in the table `setting`. A chain that has it is signed by these keys and no others from the next revision on. */
export const TRUSTED_KEYS_SETTING = encodeText('trusted-keys');
/** The one that signs, the next one, and some that are on their way out. */
export const MOST_TRUSTED_KEYS = 16;

/** A raw Ed25519 public key: 32 bytes in base64, in the only way of writing them. */
export const publicKeyText = z
  .string()
  .refine(isPublicKey, 'must be an Ed25519 public key: its 32 raw bytes in base64, 44 characters');

/** Value of the entry: canonical JSON of `{"keys": [...]}`. Never empty: a chain that nobody could sign would be at its end. */
export const trustedKeysSetting = z.object({ keys: z.array(publicKeyText).min(1).max(MOST_TRUSTED_KEYS) });
export type TrustedKeysSetting = z.infer<typeof trustedKeysSetting>;

/** @throws z.ZodError for what is no such set */
export function encodeTrustedKeys(keys: readonly string[]): Buffer {
  return encodeJson(trustedKeysSetting.parse({ keys: [...new Set(keys)].sort() }));
}

/** @returns public keys as `TrustedKeys` takes them; null for a value that is no such set */
export function decodeTrustedKeys(value: Buffer): string[] | null {
  let json: unknown;
  try {
    json = JSON.parse(value.toString('utf8'));
  } catch {
    return null;
  }
  const parsed = trustedKeysSetting.safeParse(json);
  return parsed.success ? parsed.data.keys : null;
}

function isPublicKey(text: string): boolean {
  const raw = Buffer.from(text, 'base64');
  return raw.length === 32 && raw.toString('base64') === text;
}
