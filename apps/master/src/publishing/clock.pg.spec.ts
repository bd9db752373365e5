import { afterEach, describe, expect, it, vi } from 'vitest';
import { decodeHeader } from '#artifacts';
import { PublishingScene } from '../testing/publishing-scene.js';

const scene = PublishingScene.forEachTest();
afterEach(() => void vi.useRealTimers());

describe('a clock that is set back', () => {
  it('makes no revision that was issued before the one that it follows, in this term or the next', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const began = Date.now();
    const master = await scene.start();
    await scene.publish(1);
    vi.setSystemTime(began - 3_600_000);
    await scene.publish(1);
    await master.stop();
    await scene.start();
    await scene.publish(1);
    vi.setSystemTime(began + 5_000);
    await scene.publish(1);

    const issued = (await scene.revisions()).map(({ bytes }) => decodeHeader(bytes).header.issuedAt);
    expect(issued).toEqual([began, began, began, began + 5_000]);
    const { rows } = await scene.pool.query<{ issued_at: Date }>('SELECT issued_at FROM revision ORDER BY revision');
    expect(rows.map(({ issued_at: at }) => at.getTime())).toEqual(issued);
  });
});
