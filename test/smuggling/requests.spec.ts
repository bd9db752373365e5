import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytewise, cutAt, readRequests } from '../../apps/replica/src/testing/request-stream.js';
import { CORPUS } from './corpus.js';
import { NodeUpstream, Rig } from './rig.js';

/** Places at which each stream is cut on its way through sockets; parsers get it cut at all of them. 400 is every byte of most. */
const CUTS = Number(process.env['SMUGGLING_CUTS'] ?? 3);
/** ... and that many at once */
const PIECES = 400;

let upstream: NodeUpstream;
let rig: Rig;

beforeAll(async () => {
  upstream = await NodeUpstream.start();
  rig = await Rig.start(upstream);
});

afterAll(async () => {
  await rig.stop();
  await upstream.stop();
});

/** At most `count` places within `length` bytes, evenly, beginning anywhere. */
function places(length: number, count: number, from = 1): number[] {
  const step = Math.max(1, Math.ceil((length - 1) / count));
  const found: number[] = [];
  for (let at = 1 + (from % step); at < length; at += step) found.push(at);
  return found;
}

function pieces(text: string): string[] {
  const ends = [...places(text.length, PIECES, 0), text.length];
  return ends.map((end, i) => text.slice(ends[i - 1] ?? 0, end));
}

describe.each(CORPUS)('G1 smuggling by $name', ({ cases }) => {
  it.each(cases)('comes to nothing: $name', async (tried) => {
    await rig.check(tried, [tried.bytes]);
  });

  it.each(cases)('comes to nothing in pieces: $name', async (tried) => {
    const { bytes } = tried;
    await rig.check(tried, pieces(bytes));
    for (const at of places(bytes.length, CUTS, bytes.length))
      await rig.check(tried, [bytes.slice(0, at), bytes.slice(at)]);
  });

  it('is read the same in whatever pieces', () => {
    for (const { bytes } of cases) {
      const stream = Buffer.from(bytes, 'latin1');
      const whole = readRequests([stream]);
      expect(readRequests(bytewise(stream))).toEqual(whole);
      for (const at of places(stream.length, PIECES)) expect(readRequests(cutAt(stream, at))).toEqual(whole);
    }
  });
});
