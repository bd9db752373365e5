import type { ErrorCode } from '#model';
import type { CompiledUpstream } from '../decide/compile/compile-upstream.js';
import type { Refusal } from '../upstream/place.js';
import { TlsFailure } from '../upstream/upstream-tls.js';

/** `unsent`: no byte of the request left, so that it may be sent elsewhere whatever it is. */
export type FailureKind = 'unsent' | 'broken' | 'timeout';

/** How the last attempt failed. `all`: no target is left that was not tried. */
interface Failure {
  kind: FailureKind;
  error: Error | null;
  timedOut: boolean;
  all: boolean;
}

interface Refuser {
  refuse(code: ErrorCode, detail: string, status?: number, more?: readonly string[]): void;
}

const FOR_NOW = {
  unhealthy: ['no_healthy_upstream', 'no target of the API in this region passes its health check'],
  open: ['circuit_open', 'too many requests to the upstream failed; it is left alone for a while'],
  full: ['upstream_overloaded', 'as many requests are under way to the upstream, and wait for it, as may be'],
} as const;

/** No upstream is asked. @param refusal null: all targets were tried */
export function refuseForNow(exchange: Refuser, refusal: Refusal | null): void {
  const [code, detail] = FOR_NOW[refusal?.reason ?? 'unhealthy'];
  // whole milliseconds first: times of the monotonic clock have fractions, and 5000.0000000001 ms are not 6 s
  const seconds = Math.max(1, Math.ceil(Math.round(refusal?.retryMs ?? 0) / 1000));
  exchange.refuse(code, detail, undefined, ['Retry-After', String(seconds)]);
}

/** An upstream was asked, or was to be. */
export function refuseFailed(
  exchange: Refuser,
  upstream: CompiledUpstream,
  { kind, error, timedOut, all }: Failure,
): void {
  const { connectTimeoutMs, responseTimeoutMs } = upstream;
  if (kind === 'timeout')
    exchange.refuse('upstream_timeout', `the upstream did not answer within ${responseTimeoutMs} ms`);
  else if (timedOut || (error as { code?: string } | null)?.code === 'ETIMEDOUT')
    exchange.refuse('upstream_timeout', `the upstream could not be reached within ${connectTimeoutMs} ms`);
  else if (isTlsTrouble(error))
    exchange.refuse('upstream_tls_failed', 'no secure connection to the upstream; the log of the replica says why');
  else if (kind === 'broken')
    exchange.refuse(
      'upstream_failed',
      'the upstream broke the connection, or answered with something that is not HTTP',
    );
  else if (all) exchange.refuse('no_healthy_upstream', 'no target of the API can be connected to from this region');
  else exchange.refuse('upstream_failed', 'the upstream refused the connection');
}

/** By TLS 1.3 a server says that it does not like a client's certificate after the handshake, when the request has left. */
function isTlsTrouble(error: Error | null): boolean {
  return (
    error instanceof TlsFailure ||
    ((error as { code?: unknown } | null)?.code as string)?.startsWith('ERR_SSL_') === true
  );
}
