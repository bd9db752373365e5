import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freePorts, until } from '#harness';

const PROXY = fileURLToPath(new URL('../../docker/wan-proxy/wan-proxy.mjs', import.meta.url));

let target: Server;
let proxy: ChildProcess;
let port: number;
let control: string;
/** Where the line listens, and where its switch does. */
const [REGION, OUTSIDE] = ['127.0.0.2', '127.0.0.1'];
/** of the far side, as they come */
const accepted: Socket[] = [];

/** What the far side answers: the same bytes, and an end to an end. */
function echo(socket: Socket): void {
  accepted.push(socket);
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
}

beforeAll(async () => {
  target = createServer({ allowHalfOpen: true }, echo).listen(0, '127.0.0.1');
  await once(target, 'listening');
  const [link = 0, controlPort = 0] = await freePorts(2);
  port = link;
  control = `http://${OUTSIDE}:${controlPort}/`;
  const { port: far } = target.address() as { port: number };
  const WAN_LINKS = `${REGION}:${link}=127.0.0.1:${far}`;
  const env = { WAN_LINKS, WAN_DELAY_MS: '0', WAN_CONTROL: `${OUTSIDE}:${controlPort}` };
  proxy = spawn(process.execPath, [PROXY], { env, stdio: 'inherit' });
  await until(
    () =>
      fetch(control).then(
        ({ ok }) => ok,
        () => false,
      ),
    { what: 'the line to be there' },
  );
});
afterAll(async () => {
  proxy.kill('SIGTERM');
  await once(proxy, 'exit');
  target.close();
});
beforeEach(() => set({ delayMs: 0, cut: false }));

async function set(change: object): Promise<void> {
  const response = await fetch(control, { method: 'PUT', body: JSON.stringify(change) });
  expect(response.status, await response.clone().text()).toBe(200);
}

function call(): Socket {
  return connect({ port, host: REGION, allowHalfOpen: true });
}

/** True once so many bytes have come. */
function heard(socket: Socket): () => string {
  let text = '';
  socket.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  return () => text;
}

describe('the line between data centres', () => {
  it('is there for its region alone, and its switch for the other side alone', async () => {
    const line = connect({ port, host: OUTSIDE });
    expect(((await once(line, 'error')) as [NodeJS.ErrnoException])[0].code).toBe('ECONNREFUSED');
    const other = connect({ port: Number(new URL(control).port), host: REGION });
    expect(((await once(other, 'error')) as [NodeJS.ErrnoException])[0].code).toBe('ECONNREFUSED');
  });

  it('passes on what is sent, in order, and the end of it', async () => {
    const sent = Buffer.alloc(3_000_000, 'abcdefghij');
    const socket = call();
    socket.end(sent);
    expect((await buffer(socket)).equals(sent)).toBe(true);
  });

  it('is late by its delay in each direction', async () => {
    await set({ delayMs: 150 });
    const socket = call();
    const text = heard(socket);
    const since = performance.now();
    socket.write('hello');
    await until(() => text() === 'hello', { what: 'the echo' });
    expect(performance.now() - since).toBeGreaterThanOrEqual(299);
    socket.destroy();
  });

  it('is silent when it is cut, for connections old and new, and goes on with what was under way when it is mended', async () => {
    const old = call();
    const [oldText, seen] = [heard(old), accepted.length];
    old.write('1');
    await until(() => oldText() === '1', { what: 'the line to be open' });
    await set({ cut: true });
    old.write('2');
    const young = call();
    const youngText = heard(young);
    young.write('3');
    await once(young, 'connect');
    // a round trip of the control port, which the bytes would have needed less than
    for (let i = 0; i < 20; i++) await fetch(control).then((response) => response.arrayBuffer());
    expect([oldText(), youngText(), old.destroyed, young.destroyed]).toEqual(['1', '', false, false]);
    expect(accepted.length).toBe(seen + 1);
    await set({ cut: false });
    await until(() => oldText() === '12' && youngText() === '3', { what: 'what was under way' });
    for (const socket of [old, young]) socket.destroy();
  });

  it('tells the far side of an end only once it is mended', async () => {
    const socket = call();
    const text = heard(socket);
    socket.write('x');
    await until(() => text() === 'x', { what: 'the line to be open' });
    const far = accepted.at(-1)!;
    await set({ cut: true });
    socket.destroy();
    for (let i = 0; i < 20; i++) await fetch(control).then((response) => response.arrayBuffer());
    expect(far.readableEnded || far.destroyed).toBe(false);
    await set({ cut: false });
    await until(() => far.readableEnded || far.destroyed, { what: 'the far end to be told' });
  });

  it('breaks a connection off where the far side does, and lives on', async () => {
    const socket = call();
    const broken = once(socket, 'error');
    const text = heard(socket);
    socket.write('x');
    await until(() => text() === 'x', { what: 'the line to be open' });
    accepted.at(-1)!.resetAndDestroy();
    expect(((await broken) as [NodeJS.ErrnoException])[0].code).toBe('ECONNRESET');
    expect((await fetch(control)).ok).toBe(true);
  });

  it.each([
    [{ delayMs: -1 }, 'delayMs'],
    [{ delayMs: 1.5 }, 'delayMs'],
    [{ cut: 'yes' }, 'cut'],
  ])('refuses %j, and says why', async (change, field) => {
    const response = await fetch(control, { method: 'PUT', body: JSON.stringify(change) });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain(field);
  });
});
