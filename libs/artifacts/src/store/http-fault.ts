import type { Dispatcher } from 'undici';
import { StoreError, type StoreErrorCode } from './artifact-store.js';

const BY_STATUS: Record<number, StoreErrorCode> = {
  401: 'store_denied',
  403: 'store_denied',
  408: 'store_timeout',
  429: 'store_unreachable',
  502: 'store_unreachable',
  503: 'store_unreachable',
  504: 'store_timeout',
};
/** A problem document is shorter; what a proxy sends instead may be any page. */
const MAX_ANSWER = 16_384;

/** What an answer that is not the object says, in the words of a problem document where it is one. */
export async function statusFault({ statusCode, body }: Dispatcher.ResponseData, where: string): Promise<StoreError> {
  let text = '';
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      text += chunk.toString();
      if (text.length > MAX_ANSWER) break;
    }
  } catch {
    // the status alone says much
  }
  const message = `${where}: ${statusCode}${detailOf(text)}`;
  const known = BY_STATUS[statusCode];
  return known ? new StoreError(known, message) : new StoreError('store_failed', message, statusCode >= 500);
}

function detailOf(text: string): string {
  try {
    const { code, detail } = JSON.parse(text) as { code?: unknown; detail?: unknown };
    return [code, detail].flatMap((part) => (typeof part === 'string' ? [`; ${part.slice(0, 300)}`] : [])).join('');
  } catch {
    return '';
  }
}
