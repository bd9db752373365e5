/**
 * An upstream that notes when each request was sent and when it arrived: what a limiter has admitted, seen by neither the
 * limiter nor the one who asks.
 *
 *   node dist/bench/throttle/recorder.js <port>
 */
import { createServer } from 'node:http';
import { SENT_FIELD, type Admitted, TAKEN_PATH, monotonicMicros } from './admitted.js';

const port = Number(process.argv[2]);
const BODY = 'x'.repeat(200);
let admitted: Admitted[] = [];

createServer({ keepAliveTimeout: 600_000, noDelay: true }, (request, response) => {
  const arrived = monotonicMicros();
  if (request.url === TAKEN_PATH) {
    response.end(JSON.stringify(admitted));
    admitted = [];
    return;
  }
  admitted.push([Number(request.headers[SENT_FIELD] ?? 0), arrived]);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': BODY.length }).end(BODY);
}).listen({ port, host: '127.0.0.1', backlog: 4096 });
process.on('SIGTERM', () => process.exit(0));
