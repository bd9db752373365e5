import { request } from 'undici';
import { guardedAgent, type Resolve, targetOf, Unavailable } from '../../outbound/guarded-agent.js';
import type { Reachable } from '../../outbound/reachable.js';

/** It answered, with another status than 200. */
export class OtherStatus extends Unavailable {}

export interface Fetched {
  /** null: it is as the `etag` that was sent says */
  json: unknown;
  etag: string | null;
  /** seconds that it may be kept for, as it says itself; null: it does not say */
  maxAge: number | null;
}

const TIMEOUT_MS = 10_000;
const MOST_BYTES = 256 * 1024;
const MOST_REDIRECTS = 3;
const MOST_ETAG = 256;

/**
 * Gets a JSON document that somebody outside has named: within ten seconds, of 256 KiB at the most, without credentials, and
 * from no address that `reachable` forbids. Names are resolved once, and what is connected to is the address that was checked.
 * Redirects are followed within their origin only.
 *
 * @param resolve as `lookup` of node:dns
 * @throws Unavailable
 */
export async function guardedFetch(
  url: string,
  etag: string | null,
  reachable: Reachable,
  resolve?: Resolve,
): Promise<Fetched> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let target = targetOf(url, reachable);
  const agent = guardedAgent(target, reachable, resolve);
  try {
    for (let redirects = 0; ; redirects++) {
      const answer = await request(target, {
        dispatcher: agent,
        signal,
        headers: { accept: 'application/json', ...(etag === null ? {} : { 'if-none-match': etag }) },
      });
      answer.body.on('error', () => undefined); // of what is not read: the connection is closed below
      const location = answer.headers['location'];
      if (answer.statusCode >= 300 && answer.statusCode < 400 && answer.statusCode !== 304) {
        const next =
          typeof location === 'string' && URL.canParse(location, target.href) && new URL(location, target.href);
        if (!next || redirects >= MOST_REDIRECTS || next.origin !== target.origin)
          throw new Unavailable(`${target.href} redirects where it is not followed: name that address itself`);
        await answer.body.dump({ limit: MOST_BYTES, signal });
        target = targetOf(next.href, reachable);
        continue;
      }
      const kept = { etag: etagOf(answer.headers['etag']), maxAge: maxAgeOf(answer.headers['cache-control']) };
      if (answer.statusCode === 304 && etag !== null) return { json: null, ...kept, etag };
      if (answer.statusCode !== 200) throw new OtherStatus(`${target.href} answered ${answer.statusCode}`);
      return { json: await jsonOf(answer.body, target), ...kept };
    }
  } catch (error) {
    if (error instanceof Unavailable) throw error;
    const { cause, message } = error as Error & { cause?: Error };
    throw new Unavailable(
      signal.aborted
        ? `${target.href} did not answer within ${TIMEOUT_MS / 1000} s`
        : `${target.href}: ${cause?.message ?? message}`,
    );
  } finally {
    await agent.destroy();
  }
}

async function jsonOf(body: AsyncIterable<Buffer>, { href }: URL): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MOST_BYTES) throw new Unavailable(`${href} has more than ${MOST_BYTES / 1024} KiB`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new Unavailable(`${href} is not JSON`);
  }
}

function etagOf(header: string | string[] | undefined): string | null {
  return typeof header === 'string' && header.length <= MOST_ETAG ? header : null;
}

function maxAgeOf(header: string | string[] | undefined): number | null {
  const text = String(header ?? '');
  if (/\bno-(store|cache)\b/i.test(text)) return 0;
  const seconds = /\bmax-age="?(\d{1,9})/i.exec(text)?.[1];
  return seconds === undefined ? null : Number(seconds);
}
