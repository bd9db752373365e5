import type { CompiledTarget } from '../decide/compile/compile-upstream.js';
import type { Forward } from '../decide/decision.js';
import type { TargetPool } from '../upstream/target-pool.js';
import type { ClientSide } from './client-side.js';
import { upstreamLines } from './field-lines.js';
import { CHUNKED } from './wire/request-framing.js';

/** Methods whose requests say that they have no body, where they have none (RFC 9110, 8.6). */
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH']);

/** The head of a request as it goes to a target. @param traced lines of the trace that it belongs to */
export function upstreamHead(
  client: ClientSide,
  forward: Forward,
  target: CompiledTarget,
  pool: TargetPool,
  traced: string,
): string {
  const { head, framing, caller } = client;
  const path = target.path + forward.path;
  const slash = path.charCodeAt(0) === 0x2f ? '' : '/';
  const lines = upstreamLines(head, framing, forward, caller);
  const connection = framing.upgrade ? pool.upgradeLines : pool.lines;
  return `${head.method} ${slash}${path} HTTP/1.1\r\n${connection}${lines}${traced}${lengthLine(client)}\r\n`;
}

function lengthLine({ head, framing }: ClientSide): string {
  const { length } = framing;
  if (length === CHUNKED) return 'Transfer-Encoding: chunked\r\n';
  return length > 0 || framing.lengthGiven || WITH_BODY.has(head.method) ? `Content-Length: ${length}\r\n` : '';
}
