import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TrustedKeys } from './signing.js';

/** Keys in base64 with commas between them, or the file:// URL of a file with one a line; `#` begins a comment there. @throws TypeError */
export function readTrustedKeys(text: string): string[] {
  const isFile = text.startsWith('file:');
  const parts = isFile ? readFileSync(fileURLToPath(text), 'utf8').split('\n') : text.split(',');
  const keys = parts.map((part) => part.replace(/#.*/, '').trim()).filter((part) => part !== '');
  if (keys.length === 0) throw new TypeError('has no key in it');
  for (const [index, key] of keys.entries()) {
    try {
      new TrustedKeys([key]);
    } catch {
      // not shown: it may be a private one
      throw new TypeError(`its entry ${index + 1} is not an Ed25519 public key: 32 bytes in base64`);
    }
  }
  return keys;
}
