import { hash } from 'node:crypto';
import { lineOfText } from '#model';
import { z } from 'zod';

const uuid = z.uuid();

/** What something is called by who brings it in: any text, which stands for a UUID. */
export const stableName = lineOfText(200);

/** A UUID is taken as it is; of any other text one is made, the same each time, so that what brings it can be repeated. */
export const stableId = stableName.transform(stableIdOf);

export function stableIdOf(text: string): string {
  return uuid.safeParse(text).success ? text.toLowerCase() : uuidOf(text);
}

/** A UUID of version 8 (RFC 9562): the first bytes of the text's SHA-256. */
function uuidOf(value: string): string {
  const bytes = hash('sha256', `heliograph import\n${value}`, 'buffer').subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
