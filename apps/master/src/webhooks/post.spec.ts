import { afterEach, describe, expect, it } from 'vitest';
import { Reachable } from '../outbound/reachable.js';
import { WebhookReceiver } from '../testing/webhook-receiver.js';
import { post, type Posted } from './post.js';

/** One may be asked; the other one is the secret service inside. */
const [OUTSIDE, INSIDE] = ['127.0.0.2', '127.0.0.1'];
const outsideOnly = new Reachable([`${OUTSIDE}/32`], 'HELIO_WEBHOOK_NETWORKS');
const never = new AbortController().signal;
const servers: WebhookReceiver[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** Servers at both addresses on one port, and a name that stands for something else each time that it is resolved. */
async function scene(names: string[][]) {
  const outside = await WebhookReceiver.start(0, OUTSIDE);
  const { port } = new URL(outside.url);
  const inside = await WebhookReceiver.start(Number(port), INSIDE);
  servers.push(outside, inside);
  let lookups = 0;
  const send = (url = `http://rebind.example:${port}/`): Promise<Posted> =>
    post(url, {}, '{}', outsideOnly, never, (_name, _options, callback) => {
      const addresses = names[Math.min(lookups++, names.length - 1)] ?? [];
      callback(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    });
  return { outside, inside, port, send };
}

describe('a request to a webhook', () => {
  it('goes to the address that was checked, whatever its name stands for the next time', async () => {
    const { outside, inside, send } = await scene([[OUTSIDE], [INSIDE]]);
    expect(await send()).toMatchObject({ status: 204, error: null });
    expect((await send()).error).toContain('127.0.0.1 is no public address');
    expect([outside.received.length, inside.received.length]).toEqual([1, 0]);
  });

  it('is not made, if one of the addresses is private, or the URL names one', async () => {
    const { outside, inside, port, send } = await scene([[OUTSIDE, INSIDE]]);
    expect((await send()).error).toContain('127.0.0.1 is no public address');
    for (const host of [INSIDE, '127.1', '0x7f.0.0.1', '2130706433', '[::ffff:127.0.0.1]', '[::1]', '0.0.0.0'])
      expect((await send(`http://${host}:${port}/`)).error, host).toContain('no public address');
    expect([outside.received.length, inside.received.length]).toEqual([0, 0]);
  });

  it('reads a kilobyte of an answer, however long it is, and waits no longer than it has to', async () => {
    const { outside, send } = await scene([[OUTSIDE]]);
    outside.answer = (_, response) => {
      response.writeHead(500);
      const more = (): void => {
        while (!response.destroyed && response.write('\0'.repeat(65_536)));
        response.once('drain', more);
      };
      more();
    };
    const { status, excerpt } = await send();
    expect([status, excerpt]).toEqual([500, '\uFFFD'.repeat(1024)]);
  });

  it('honours Retry-After of 429 and 503, in seconds or as a date, and of nothing else', async () => {
    const { outside, send } = await scene([[OUTSIDE]]);
    const asked = async (status: number, retryAfter: string) => {
      outside.answer = (_, response) => void response.writeHead(status, { 'retry-after': retryAfter }).end();
      return (await send()).retryAfter;
    };
    expect([
      await asked(429, '7'),
      await asked(503, '120'),
      await asked(500, '7'),
      await asked(503, 'soon'),
      await asked(503, '0'),
    ]).toEqual([7, 120, null, null, null]);
    const date = await asked(503, new Date(Date.now() + 60_000).toUTCString());
    expect(date).toBeGreaterThan(50);
    expect(date).toBeLessThanOrEqual(60);
  });

  it('is given up when it is told to stop', async () => {
    const { outside } = await scene([[OUTSIDE]]);
    const stop = new AbortController();
    outside.answer = () => stop.abort();
    expect(await post(outside.url, {}, '{}', outsideOnly, stop.signal)).toMatchObject({ status: null });
  });
});
