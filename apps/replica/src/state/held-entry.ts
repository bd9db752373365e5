import { z } from 'zod';

const reason = z.strictObject({
  /** the revision whose value cannot be used */
  revision: z.int().min(0),
  code: z.string(),
  detail: z.string(),
});
export type HeldReason = z.infer<typeof reason>;

/** Why and with what the replica serves an entry differently from what the chain says. */
export interface HeldEntry {
  /** what it serves: the last value that could be used; null when there never was one */
  serving: Buffer | null;
  /** why the chain's value cannot be used; null for a release that the chain dropped while something held needs it */
  reason: HeldReason | null;
}

/*
 * held = present:u8 reasonLength:u16 reason:JSON serving
 */
export function encodeHeld(held: HeldEntry): Buffer {
  const text = held.reason ? Buffer.from(JSON.stringify(held.reason)) : Buffer.alloc(0);
  const head = Buffer.allocUnsafe(3);
  head.writeUInt8(held.serving ? 1 : 0, 0);
  head.writeUInt16BE(text.length, 1);
  return Buffer.concat(held.serving ? [head, text, held.serving] : [head, text]);
}

export function decodeHeld(bytes: Buffer): HeldEntry {
  const end = 3 + bytes.readUInt16BE(1);
  return {
    serving: bytes.readUInt8(0) === 1 ? bytes.subarray(end) : null,
    reason: end > 3 ? reason.parse(JSON.parse(bytes.toString('utf8', 3, end))) : null,
  };
}
