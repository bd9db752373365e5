import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Bucket, Grant, Wish } from '#throttle';
import { ChannelCounterStore } from './channel-counter-store.js';
import type { FromWorker } from './ipc.js';

const BUCKET: Bucket = { kind: 'rate', name: 's', limit: { limit: 10, per: 'second' } };
const GRANT: Grant = { granted: 1, lent: 0, remaining: 9, resetMs: 100, retryMs: 0, lease: 7 };
const wish = (need: number): Wish => ({ need, ahead: 0, held: 0, lease: 0 });
let sent: FromWorker[];
let store: ChannelCounterStore;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  store = new ChannelCounterStore((message) => sent.push(message));
});

afterEach(() => void vi.useRealTimers());

describe('ChannelCounterStore', () => {
  it('gives each question its own answer, in whatever order they come', async () => {
    const [first, second] = [store.take(BUCKET, wish(1)), store.take(BUCKET, wish(2))];
    expect(sent.map((message) => (message.type === 'take' ? [message.id, message.wish.need] : null))).toEqual([
      [1, 1],
      [2, 2],
    ]);
    store.granted(2, { ...GRANT, granted: 2 });
    store.granted(1, GRANT);
    expect([(await first).granted, (await second).granted]).toEqual([1, 2]);
  });

  it('waits for an answer no longer than a request can, and takes none that comes later', async () => {
    const outcome = store.take(BUCKET, wish(1)).catch((error: unknown) => String(error));
    await vi.advanceTimersByTimeAsync(2000);
    expect(await outcome).toBe('Error: the counters did not answer within 2000 ms');
    store.granted(1, GRANT);
    store.give(BUCKET, 3, 7);
    expect(sent.at(-1)).toEqual({ type: 'give', bucket: BUCKET, unused: 3, lease: 7 });
  });
});
