import { request } from 'undici';
import { guardedAgent, type Resolve, targetOf, Unavailable } from '../outbound/guarded-agent.js';
import type { Reachable } from '../outbound/reachable.js';
import { VERSION } from '../version.js';

/** What came of one attempt. */
export interface Posted {
  /** null: there was no answer */
  status: number | null;
  /** null: it was taken */
  error: string | null;
  /** the beginning of the answer's body, where it was not taken */
  excerpt: string | null;
  /** seconds that it asks to be left alone for; null: it does not say */
  retryAfter: number | null;
}

const TIMEOUT_MS = 10_000;
const MOST_EXCERPT = 1024;

/**
 * Sends one request, whole, within ten seconds. Redirects are not followed; of the answer's body a kilobyte is read. Never rejects.
 *
 * @param stop gives the attempt up
 */
export async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
  reachable: Reachable,
  stop: AbortSignal,
  resolve?: Resolve,
): Promise<Posted> {
  const late = AbortSignal.timeout(TIMEOUT_MS);
  const signal = AbortSignal.any([late, stop]);
  let agent: ReturnType<typeof guardedAgent> | undefined;
  try {
    const target = targetOf(url, reachable);
    agent = guardedAgent(target, reachable, resolve);
    const answer = await request(target, {
      method: 'POST',
      dispatcher: agent,
      signal,
      headers: { 'content-type': 'application/json', 'user-agent': `heliograph/${VERSION}`, ...headers },
      body,
    });
    answer.body.on('error', () => undefined); // of what is not read: the connection is closed below
    const { statusCode: status } = answer;
    if (status >= 200 && status < 300) return { status, error: null, excerpt: null, retryAfter: null };
    const excerpt = await beginning(answer.body);
    return { status, error: refusal(status), excerpt, retryAfter: retryAfterOf(status, answer.headers['retry-after']) };
  } catch (error) {
    const { cause, message } = error as Error & { cause?: Error };
    const text = late.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : (cause?.message ?? message);
    return {
      status: null,
      error: error instanceof Unavailable ? `it may not be asked: ${error.message}` : text,
      excerpt: null,
      retryAfter: null,
    };
  } finally {
    await agent?.destroy();
  }
}

function refusal(status: number): string {
  if (status >= 300 && status < 400) return `it answered ${status}: redirects are not followed, give the other address`;
  return `it answered ${status}`;
}

/** What is readable of it; a body that breaks off is as good as one that ends. */
async function beginning(body: AsyncIterable<Buffer>): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= MOST_EXCERPT) break;
    }
  } catch {
    // the status has said it all
  }
  const text = Buffer.concat(chunks).subarray(0, MOST_EXCERPT).toString('utf8');
  // PostgreSQL takes no text with a NUL
  return text === '' ? null : text.replaceAll('\0', '\uFFFD');
}

/** RFC 9110, 10.2.3: seconds, or a date. */
function retryAfterOf(status: number, header: string | string[] | undefined): number | null {
  if ((status !== 429 && status !== 503) || typeof header !== 'string') return null;
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : Math.ceil((Date.parse(header) - Date.now()) / 1000);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}
