import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import { problem } from '../gateway/decide/problems.js';
import { BOUNDS } from '../gateway/engine/bounds.js';

/** What a client did that node's parser refused, for 'clientError'. */
export function explainClientError(error: NodeJS.ErrnoException): { status: number; detail: string } {
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return { status: 431, detail: `the head of the request is larger than ${BOUNDS.headBytes} bytes` };
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return { status: 408, detail: `the head of the request took longer than ${BOUNDS.headMs} ms` };
  return {
    status: 400,
    detail: `the request is not valid HTTP/1.1: ${(error as { reason?: string }).reason ?? error.message}`,
  };
}

/** An answer on a connection that has no request which node:http would know of. */
export function rawProblem(status: number, detail: string): string {
  const requestId = randomUUID();
  const { headers, body } = problem('bad_request', detail, requestId, [], status);
  const fields = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `${headers[0]}: ${headers[1]}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    'Connection: close',
  ];
  return `${fields.join('\r\n')}\r\n\r\n${body}`;
}
