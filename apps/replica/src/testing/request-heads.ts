import type { RequestHead } from '../gateway/decide/request-head.js';

/** A request head, for tests of what decides on one. `headers` in lower case; a list for repeated fields. */
export function headOf(
  method: string,
  target: string,
  headers: Record<string, string | string[]> = {},
  remoteAddress: string | null = '192.0.2.7',
): RequestHead {
  return { method, target, remoteAddress, requestId: 'req-1', values: (name) => [headers[name] ?? []].flat() };
}
