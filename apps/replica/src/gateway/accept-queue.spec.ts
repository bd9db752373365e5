import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { definitionOf, placed } from '../testing/gateway-ops.js';
import { MovableClock } from '../testing/movable-clock.js';
import { TestGateway } from '../testing/test-gateway.js';

const ASK = 'GET /weather/v1/today HTTP/1.1\r\nHost: a\r\n\r\n';
const ANSWERED = /^HTTP\/1.1 200 [\s\S]*Connection: close\r\n/;
const CLIENTS = 10;

let gateway: TestGateway;

beforeEach(async () => {
  gateway = new TestGateway(null, new MovableClock()); // no time is over
  gateway.load(placed(definitionOf({ security: 'open', policies: { mock: { status: 200, body: 'ok' } } })));
  await gateway.listen();
  await gateway.listenTls();
});

afterEach(() => gateway.stop());

/** Connected as the kernel sees it, and not taken yet: the loop does not turn before this resolves. */
async function waitInQueue(port: number): Promise<Socket[]> {
  const sockets = Array.from({ length: CLIENTS }, () => connect(port, '127.0.0.1'));
  await new Promise<void>((resolve) => process.nextTick(resolve));
  return sockets;
}

async function answerTo(socket: Socket): Promise<string> {
  socket.write(ASK);
  return (await buffer(socket)).toString();
}

describe('G2 clients that are connected, and whom nobody has taken yet, when the gateway is told to end', () => {
  it('are answered', async () => {
    const clients = await waitInQueue(gateway.port);
    const drained = gateway.engine.drain(30_000);
    for (const answer of await Promise.all(clients.map(answerTo))) expect(answer).toMatch(ANSWERED);
    await drained;
  });

  it('are answered in TLS', async () => {
    const clients = await waitInQueue(gateway.tlsPort);
    const drained = gateway.engine.drain(30_000);
    const answers = clients.map(async (socket) => {
      const secure = connectTls({ socket, rejectUnauthorized: false });
      await once(secure, 'secureConnect');
      return answerTo(secure);
    });
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(ANSWERED);
    await drained;
  });
});
