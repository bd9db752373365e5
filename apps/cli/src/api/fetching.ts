import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#platform';
import { CliError } from '../exit.js';

const ATTEMPTS = 4;
const BASE_MS = 200;
const MOST_MS = 2_000;
/** A master that asks for more is not waited for: a person is. */
const MOST_RETRY_AFTER_S = 10;
const READ_WITHIN_MS = 30_000;
/** longer than the longest `Prefer: wait` */
const WRITE_WITHIN_MS = 75_000;
/** A person waits, and is told nothing meanwhile: a read that has taken that long is not tried again. */
const PATIENCE_MS = 10_000;

/** of a connection that was never made: nothing was sent */
const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
export const PASSING: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/**
 * Sends a request, again where that is safe: reads, POSTs with an Idempotency-Key, and whatever was never sent. Other writes
 * go once: whether they were carried out cannot be known when the answer is lost.
 *
 * @throws CliError `unreachable` when there is no answer. Any answer is one, 503 too, when it stays so.
 */
export async function fetchPatiently(request: Request): Promise<Response> {
  const reads = request.method === 'GET';
  const repeatable = reads || request.headers.has('idempotency-key');
  const began = performance.now();
  const isLate = (): boolean => reads && performance.now() - began > PATIENCE_MS;
  for (let attempt = 0; ; attempt++) {
    const last = attempt === ATTEMPTS - 1;
    let pause = backoffMs(attempt, BASE_MS, MOST_MS, Math.random);
    try {
      const signal = AbortSignal.any([request.signal, AbortSignal.timeout(withinMs(request.method))]);
      // A redirected POST would come back as a GET: a master redirects nobody, and what does is named.
      const response = await fetch(last ? request : request.clone(), { signal, redirect: 'manual' });
      const asked = retryAfterMs(response);
      if (last || isLate() || !repeatable || !PASSING.has(response.status) || asked > MOST_RETRY_AFTER_S * 1000)
        return response;
      await response.body?.cancel();
      pause = Math.max(pause, asked);
    } catch (error) {
      if (request.signal.aborted) throw error;
      const notSent = isNotSent(error);
      if (last || isLate() || !(repeatable || notSent)) throw unreachable(request, error, notSent);
    }
    await sleep(pause, undefined, { signal: request.signal });
  }
}

export function unreachable(
  { method, url }: { method: string; url: string },
  error: unknown,
  notSent: boolean,
): CliError {
  const { origin, pathname } = new URL(url);
  const lost = method !== 'GET' && !notSent;
  return new CliError(`${origin} does not answer: ${reasonOf(error, method)}`, {
    exit: 'unreachable',
    lines: lost ? [`whether ${method} ${pathname} was carried out is not known`] : [],
    next: lost
      ? 'Look at what it was to change before you send it again.'
      : 'Check the address (`helio context list`), the network, and that the master runs (`helio doctor`).',
    cause: error,
    passing: !notSent,
  });
}

/** Of an error of `fetch`. */
export function isNotSent(error: unknown): boolean {
  return NOT_SENT.has(codeOf(error));
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? 0);
  return Number.isFinite(seconds) ? seconds * 1000 : 0;
}

function codeOf(error: unknown): string {
  const cause = (error as { cause?: { code?: unknown; errors?: { code?: unknown }[] } }).cause;
  const code = cause?.code ?? cause?.errors?.[0]?.code;
  return typeof code === 'string' ? code : '';
}

function withinMs(method: string): number {
  return method === 'GET' ? READ_WITHIN_MS : WRITE_WITHIN_MS;
}

function reasonOf(error: unknown, method: string): string {
  const { name, message, cause } = error as Error & { cause?: Error };
  if (name === 'TimeoutError') return `nothing came in ${withinMs(method) / 1000} s`;
  return cause?.message || codeOf(error) || message;
}
