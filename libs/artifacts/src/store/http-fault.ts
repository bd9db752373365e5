import type { Dispatcher } from 'undici';
import { StoreError, type StoreErrorCode } from './artifact-store.js';

/** What a status means that an object was not answered with. */
export const BY_STATUS: Record<number, StoreErrorCode> = {
  401: 'store_denied',
  403: 'store_denied',
  408: 'store_timeout',
  429: 'store_unreachable',
  502: 'store_unreachable',
  503: 'store_unreachable',
  504: 'store_timeout',
  507: 'store_full',
};
/** What a server says about an error is shorter; what a proxy sends instead may be any page. */
const MAX_ANSWER = 16_384;

/** What an answer that is not the object says, in the words of a problem document where it is one. */
export async function statusFault({ statusCode, body }: Dispatcher.ResponseData, where: string): Promise<StoreError> {
  const message = `${where}: ${statusCode}${detailOf(await textOf(body as AsyncIterable<Buffer>))}`;
  const known = BY_STATUS[statusCode];
  return known ? new StoreError(known, message) : new StoreError('store_failed', message, statusCode >= 500);
}

/** The beginning of an answer that tells of an error; never rejects, since the status alone says much. */
export async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  try {
    for await (const chunk of body) {
      text += chunk.toString();
      if (text.length > MAX_ANSWER) break;
    }
  } catch {
    // what came until then may do
  }
  return text;
}

function detailOf(text: string): string {
  try {
    const { code, detail } = JSON.parse(text) as { code?: unknown; detail?: unknown };
    return [code, detail].flatMap((part) => (typeof part === 'string' ? [`; ${part.slice(0, 300)}`] : [])).join('');
  } catch {
    return ''; // no problem document: the status has to do
  }
}
