import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the ports that systems give to whoever asks for any one, and to outgoing connections: between two processes
 * that listen there one after the other, nobody else gets it by chance. Above those that services are known by; others
 * that tests choose by themselves begin at 21,000.
 */
const FIRST = 10_000;
const END = 20_000;

/** Ports of the loopback interface on which nobody listens; given to nobody else before this process ends. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, END);
    if ((await claim(port)) && (await isFree(port))) return port;
  }
}

/** By UDP on the same number, which nobody here uses, and which ends with this process however that ends. */
async function claim(port: number): Promise<boolean> {
  const socket = createSocket('udp4').unref();
  socket.bind(port, '127.0.0.1');
  const claimed = await succeeds(once(socket, 'listening'));
  if (!claimed) socket.close();
  return claimed;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  if (!(await succeeds(once(server, 'listening')))) return false;
  server.close();
  await once(server, 'close');
  return true;
}

function succeeds(done: Promise<unknown>): Promise<boolean> {
  return done.then(
    () => true,
    () => false,
  );
}
