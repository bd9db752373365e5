import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { wholeAnswer } from './answer.js';
import { bodyBytes } from './body-bytes.js';

let server: Server;
beforeEach(async () => {
  server = createServer((_, response) => response.writeHead(200).write('one')).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** As the garbage collector does after a while. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let n = 0; n < 5; n++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const open = (signal: AbortSignal): Promise<Response> =>
  fetch(new Request(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { signal }));

describe('the bytes of an answer that goes on', () => {
  it('end when the signal fires, also after what has asked for them was forgotten', async () => {
    const stop = new AbortController();
    const bytes = bodyBytes(await open(stop.signal), stop.signal);
    expect(Buffer.from((await bytes.next()).value ?? []).toString()).toBe('one');
    const next = bytes.next();
    await collect();
    stop.abort();
    await expect(next).rejects.toThrow(/abort/i);
  });

  it('do not come, nor are waited for, when the signal has fired before they are asked for', async () => {
    const closed = once(server, 'connection').then(([socket]) => once(socket, 'close'));
    const response = await open(new AbortController().signal);
    await expect(bodyBytes(response, AbortSignal.abort()).next()).rejects.toThrow(/abort/i);
    await closed;
  });

  it('let the connection go when nobody wants more of them', async () => {
    const closed = once(server, 'connection').then(([socket]) => once(socket, 'close'));
    const { signal } = new AbortController();
    for await (const bytes of bodyBytes(await open(signal), signal)) {
      expect(bytes.length).toBe(3);
      break;
    }
    await closed;
  });

  it('are not waited for where the other end falls silent in the middle of an answer', async () => {
    const { signal } = new AbortController();
    const response = await open(signal);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { url } = response;
      const asked = { method: 'GET', url, signal };
      const answer = wholeAnswer(asked, response, { server: url, from: 'a test' }).catch((error: unknown) =>
        String(error),
      );
      await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1));
      await new Promise((resolve) => setImmediate(resolve)); // what is there already has come
      await vi.advanceTimersByTimeAsync(46_000);
      expect(await answer).toMatch(/does not answer: nothing came in 45 s/);
    } finally {
      vi.useRealTimers();
    }
  }, 10_000);
});
