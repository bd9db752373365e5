import { until } from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { good, outcome } from '../testing/answers.js';
import { PromotionScene, UNSEEN } from '../testing/promotion-scene.js';

let scene: PromotionScene;
beforeAll(async () => {
  scene = await PromotionScene.start();
  await scene.placed('staging', { 'weather:v1@stage': scene.release(1) });
});
afterAll(() => scene?.app.stop());

const promote = (soak: number, headers: Record<string, string> = {}) => {
  const strategy = { waves: [['eu-west'], ['us-east']], soak: [soak, 0], gates: UNSEEN };
  const body = { api: 'weather:v1', release: scene.release(1), to: 'prod', strategy };
  return scene.app.call('POST', '/v1/promotions', body, headers);
};

interface Seen {
  id: string;
  event: string;
  data: { state: string; input: string; wave: number; actor: string; because: { detail: string } | null };
}

/** Reads a stream of events as it comes. */
class Reader {
  readonly events: Seen[] = [];
  ended = false;

  static async open(
    id: string,
    lastEventId?: string,
  ): Promise<{ reader: Reader; response: Response; abort: () => void }> {
    const abort = new AbortController();
    const response = await fetch(`${scene.app.url}/v1/promotions/${id}/events`, {
      headers: {
        authorization: `Bearer ${scene.app.admin}`,
        ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
      },
      signal: abort.signal,
    });
    const reader = new Reader();
    if (response.ok) void reader.read(response).catch(() => undefined);
    return { reader, response, abort: () => abort.abort() };
  }

  private async read(response: Response): Promise<void> {
    let text = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      for (let at = text.indexOf('\n\n'); at !== -1; at = text.indexOf('\n\n')) {
        const fields = Object.fromEntries(
          text
            .slice(0, at)
            .split('\n')
            .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
        );
        text = text.slice(at + 2);
        if (fields.id !== undefined)
          this.events.push({ id: fields.id, event: fields.event ?? '', data: JSON.parse(fields.data ?? '') });
      }
    }
    this.ended = true;
  }

  steps(): string[] {
    return this.events.map(({ event, data }) => `${event} ${data.input} ${data.wave}`);
  }
}

const STEPS = [
  'approved create 0',
  'rolling start 1',
  'soaking acknowledged 1',
  'rolling skip 2',
  'soaking acknowledged 2',
  'completed passed 2',
];

describe('the events of a promotion', () => {
  it('come as they happen, to its end, and after any of them again', async () => {
    const { id } = await good(promote(3600));
    const { reader, response } = await Reader.open(id);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    await until(() => reader.steps().length === 3, { what: 'the soak to begin' });
    expect(reader.ended).toBe(false);
    await good(scene.act(id, 'skip', { reason: 'a test' }));
    await until(() => reader.ended, { what: 'the end of the stream' });
    expect(reader.steps()).toEqual(STEPS);
    expect(reader.events[3]?.data).toMatchObject({
      actor: 'bootstrap',
      because: { detail: 'a test' },
      regions: ['us-east'],
    });
    for (const [n, { id: last }] of reader.events.entries()) {
      const again = await Reader.open(id, last);
      await until(() => again.reader.ended, { what: 'the end of the stream' });
      expect(again.reader.steps()).toEqual(STEPS.slice(n + 1));
      expect(again.response.status).toBe(n === STEPS.length - 1 ? 204 : 200);
    }
  });

  it('are refused where there is no such promotion, or no such event', async () => {
    expect((await Reader.open('00000000-0000-4000-8000-000000000000')).response.status).toBe(404);
    const { id } = await good(promote(0));
    expect((await Reader.open(id, 'x')).response.status).toBe(400);
    await scene.is(id, 'completed');
  });

  it('hold up neither a reader who has gone nor a master that stops', async () => {
    const { id } = await good(promote(3600));
    const first = await Reader.open(id);
    await until(() => first.reader.steps().length === 3, { what: 'the soak to begin' });
    first.abort();
    const second = await Reader.open(id, first.reader.events[2]?.id);
    await good(scene.act(id, 'abort'));
    await until(() => second.reader.ended, { what: 'the end of the stream' });
    expect(second.reader.steps()).toEqual(['rolling-back abort 1', 'rolled-back restored 1']);
  });
});

describe('very many readers', () => {
  it('cost the database one look for all of them, and each hears of each step', async () => {
    const { id } = await good(promote(3600));
    const { reader: first } = await Reader.open(id);
    await until(() => first.steps().length === 3, { what: 'the soak to begin' });
    const last = first.events[2]?.id;
    const readers = await Promise.all(Array.from({ length: 100 }, () => Reader.open(id, last)));
    const waiting = promote(3600, { prefer: 'wait=30', 'idempotency-key': 'many' }); // refused: it is open
    expect(await outcome(waiting)).toBe('409 promotion_open');
    const looks = async (): Promise<number> => {
      const rows: { n: string }[] = await scene.app.source.query(
        `SELECT sum(idx_scan) AS n FROM pg_stat_user_indexes WHERE indexrelname = 'event_by_subject'`,
      );
      return Number(rows[0]?.n);
    };
    await scene.app.source.query('SELECT pg_stat_force_next_flush(), pg_sleep(1.5)');
    const before = await looks();
    await scene.app.source.query('SELECT pg_stat_force_next_flush(), pg_sleep(1.5)');
    expect((await looks()) - before).toBeLessThan(100); // each would have looked three times
    await good(scene.act(id, 'abort'));
    for (const { reader } of readers) await until(() => reader.ended, { what: 'the end of the stream' });
    expect(new Set(readers.map(({ reader }) => reader.steps().join()))).toEqual(
      new Set(['rolling-back abort 1,rolled-back restored 1']),
    );
  });
});

describe('Prefer: wait', () => {
  it('answers at the end of a promotion, or with 202 and where it is', async () => {
    const done = await promote(0, { prefer: 'wait=20' });
    expect([done.status, done.body.state, done.headers.get('preference-applied')]).toEqual([
      201,
      'completed',
      'wait=20',
    ]);
    const open = await promote(3600, { prefer: 'wait=1', 'idempotency-key': 'ci-1' });
    expect(open.status).toBe(202);
    await scene.is(open.body.id, 'soaking');
    const again = await promote(3600, { prefer: 'wait=1', 'idempotency-key': 'ci-1' });
    expect([again.status, again.body.id, again.body.state]).toEqual([202, open.body.id, 'soaking']);
    expect(await outcome(promote(0))).toBe('409 promotion_open');
    const waiting = promote(3600, { prefer: 'wait=30', 'idempotency-key': 'ci-1' });
    await good(scene.act(open.body.id, 'abort'));
    expect((await waiting).body.state).toBe('rolled-back');
  });
});

describe('a master that stops', () => {
  it('ends the streams of events that it has', async () => {
    const { id } = await good(promote(3600));
    const { reader } = await Reader.open(id);
    await until(() => reader.steps().length === 3, { what: 'the soak to begin' });
    await scene.app.stop();
    await until(() => reader.ended, { what: 'the end of the stream' });
    scene = await PromotionScene.start();
  });
});
