import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Answer } from '../http/request.js';

/** What is kept for an Idempotency-Key: enough to answer the same again. */
export interface KeptAnswer {
  answer: Answer;
  xid: string;
  environments: string[];
}

const NONCE = 12;
const TAG = 16;

/** AES-256-GCM: the answer may hold a new secret, which only the caller who can make `key` again may see. */
export function sealAnswer(kept: KeptAnswer, key: Buffer): Buffer {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const text = Buffer.concat([cipher.update(JSON.stringify(kept), 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]);
}

export function openAnswer(sealed: Buffer, key: Buffer): KeptAnswer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE));
  decipher.setAuthTag(sealed.subarray(NONCE, NONCE + TAG));
  const text = Buffer.concat([decipher.update(sealed.subarray(NONCE + TAG)), decipher.final()]);
  return JSON.parse(text.toString('utf8')) as KeptAnswer;
}
