// The line between two data centres: passes TCP connections on, late, or not at all.
//
//   WAN_LINKS     wan:8080=masters:8080,wan:9000=minio:9000   where it listens = where to
//   WAN_DELAY_MS  80                                          how much later each byte arrives, in either direction
//   WAN_CONTROL   switch:7000                                 where it listens for: GET /, and PUT / {"delayMs": 300, "cut": true}
//
// It is on several networks and listens on one address: the one that the name has, so who is on another cannot use it.
// A line that is cut is silent, as a broken one is: nothing is refused and nothing closed, bytes just do not arrive. What was
// on its way goes on when the line is mended, as TCP would send it again.
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

/** Of a connection in one direction: what a sender may have under way. At 80 ms that is 100 MB a second. */
const HELD_BYTES = 8 * 1024 * 1024;
const MAX_CONNECTIONS = 256;
const MAX_DELAY_MS = 60_000;

const { WAN_LINKS = '', WAN_DELAY_MS = '80', WAN_CONTROL = '' } = process.env;

const line = {
  delayMs: Number(WAN_DELAY_MS),
  cut: false,
  connections: 0,
  bytes: 0,
  /** who waits for the end of the cut */
  waiting: [],
  async passes() {
    while (this.cut) await new Promise((resolve) => this.waiting.push(resolve));
  },
};

for (const link of WAN_LINKS.split(',')) {
  const [own, ownPort, host, hostPort] = link.split(/[=:]/);
  if (!hostPort) throw new Error(`WAN_LINKS: "${link}" is not like wan:8080=masters:8080`);
  const server = createTcpServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    through(near, host, Number(hostPort)).catch(() => near.destroy());
    near.on('error', () => {}); // told by 'close', as every other end
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(Number(ownPort), own);
}

async function through(near, host, port) {
  line.connections += 1;
  near.once('close', () => {
    line.connections -= 1;
  });
  await line.passes();
  if (near.destroyed) return;
  const far = connect({ host, port, allowHalfOpen: true, noDelay: true });
  far.on('error', () => {});
  carry(near, far);
  carry(far, near);
}

/** What one side sends, and its end, arrives at the other in order, later, and while the line is not cut. */
function carry(from, to) {
  const underWay = [];
  let heldBytes = 0;
  let isRunning = false;
  const put = (deliver, size = 0) => {
    underWay.push({ due: performance.now() + line.delayMs, deliver, size });
    heldBytes += size;
    if (heldBytes >= HELD_BYTES) from.pause();
    if (!isRunning) void run();
  };
  from.on('data', (bytes) => put(() => to.write(bytes), bytes.length));
  from.once('end', () => put(() => to.end()));
  from.once('close', (isBroken) => put(() => (isBroken ? to.resetAndDestroy() : to.destroySoon())));

  async function run() {
    isRunning = true;
    for (let next; (next = underWay.shift()); ) {
      const early = next.due - performance.now();
      if (early > 0) await sleep(early);
      await line.passes();
      if (next.deliver() === false && !to.destroyed) await drained(to);
      line.bytes += next.size;
      heldBytes -= next.size;
      if (heldBytes < HELD_BYTES && from.isPaused()) from.resume();
    }
    isRunning = false;
  }
}

function drained(socket) {
  return new Promise((resolve) => {
    socket.once('drain', resolve);
    socket.once('close', resolve);
  });
}

const control = createServer((request, response) => {
  void reply(request, response);
});
const [own, ownPort] = WAN_CONTROL.split(':');
if (!ownPort) throw new Error(`WAN_CONTROL: "${WAN_CONTROL}" is not like switch:7000`);
control.listen(Number(ownPort), own);

async function reply(request, response) {
  let [status, body] = [400, {}];
  try {
    [status, body] = await answer(request);
  } catch (error) {
    body = { error: error.message };
  }
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

async function answer(request) {
  if (request.method === 'PUT') {
    if (Number(request.headers['content-length'] ?? Infinity) > 1024) return [413, { error: 'at most 1024 bytes' }];
    change(JSON.parse(String(await buffer(request))));
  } else if (request.method !== 'GET') return [405, { error: 'GET, or PUT' }];
  const { delayMs, cut, connections, bytes } = line;
  return [200, { delayMs, cut, connections, bytes }];
}

function change({ delayMs = line.delayMs, cut = line.cut }) {
  if (!Number.isInteger(delayMs) || delayMs < 0 || delayMs > MAX_DELAY_MS)
    throw new Error(`delayMs: must be a whole number from 0 to ${MAX_DELAY_MS}`);
  if (typeof cut !== 'boolean') throw new Error('cut: must be true or false');
  line.delayMs = delayMs;
  line.cut = cut;
  if (cut) return;
  for (const go of line.waiting.splice(0)) go();
}

process.once('SIGTERM', () => process.exit(0));
