import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type SentEvent, sentEvents } from './event-lines.js';

async function* pieces(text: string, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  for (let i = 1; i < places.length; i++) yield bytes.subarray(places[i - 1], places[i]);
}

async function all(body: AsyncIterable<Uint8Array>): Promise<SentEvent[]> {
  const events: SentEvent[] = [];
  for await (const event of sentEvents(body)) events.push(event);
  return events;
}

it('reads the same events however the bytes come', async () => {
  const text =
    'retry: 2000\n\nid: 7\nevent: rolling\ndata: {"wäve":1}\n\n: still open\n\nid: 8\ndata: a\ndata: b\n\nid: 9\nda';
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(200), { maxLength: 8 }), async (cuts) => {
      expect(await all(pieces(text, cuts))).toEqual([
        { id: '7', type: 'rolling', data: '{"wäve":1}' },
        { id: '8', type: 'message', data: 'a\nb' },
      ]);
    }),
  );
});

it('takes no event without an end', async () => {
  await expect(all(pieces(`data: ${'x'.repeat(2 * 1024 * 1024)}`, []))).rejects.toThrow('no end');
});
