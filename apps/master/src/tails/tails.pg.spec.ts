import { TrustedKeys } from '#artifacts';
import { until } from '#harness';
import { STREAM_ACCEPTS, STREAM_PATH, type TailWish } from '#model';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { as, auditOf, good, outcome, settle } from '../testing/answers.js';
import { type StartedApp, startApp, startBeside } from '../testing/start-app.js';
import { StreamClient } from '../testing/stream-client.js';

let app: StartedApp;
let second: StartedApp;
const open: { end(): unknown }[] = [];

beforeAll(async () => {
  app = await startApp();
  second = await startBeside(app);
  await settle(app, { prod: ['eu-west', 'us-east', 'empty'] });
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.end();
});
afterAll(async () => {
  await second?.stop();
  await app?.stop();
});

/** What a reader was told so far. */
class Reader {
  readonly lines: Record<string, unknown>[] = [];
  readonly replicas: { followed: string[]; missing: { replica: string; because: string }[] }[] = [];
  dropped = 0;
  ended = false;
  private readonly leave = new AbortController();

  static async of(path: string, at = app): Promise<Reader> {
    const reader = new Reader();
    const headers = { authorization: `Bearer ${at.admin}` };
    const response = await fetch(at.url + path, { headers, signal: reader.leave.signal });
    expect(response.status).toBe(200);
    void reader.read(response).catch(() => undefined);
    open.push(reader);
    return reader;
  }

  end(): void {
    this.leave.abort();
  }

  private async read(response: Response): Promise<void> {
    let text = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      for (let at = text.indexOf('\n\n'); at !== -1; at = text.indexOf('\n\n')) {
        const [, type, data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(text.slice(0, at)) ?? [];
        text = text.slice(at + 2);
        if (type === 'line') this.lines.push(JSON.parse(data));
        if (type === 'dropped') this.dropped += JSON.parse(data).lines;
        if (type === 'replicas') this.replicas.push(JSON.parse(data));
      }
    }
    this.ended = true;
  }
}

interface Joined {
  client: StreamClient;
  id: string;
  wishes: () => TailWish[];
  tell: (wish: TailWish | undefined, lines: string[], dropped?: number) => void;
}

/** A replica's end of the stream. @param accepts what it says that it may be asked for */
async function join(region: string, at = app, accepts = 'something, tail'): Promise<Joined> {
  const { token } = await good(app.call('POST', '/v1/join-tokens', { region }));
  const joined = await good(
    app.call('POST', '/v1/replicas/join', { token, region, environment: 'prod', build: '0.1.0' }),
  );
  const keys = new TrustedKeys(joined.trustedKeys);
  const client = await StreamClient.connect(at.url, joined.token, keys, STREAM_PATH, { [STREAM_ACCEPTS]: accepts });
  open.push(client, { end: () => app.call('DELETE', `/v1/replicas/${joined.replica}`) });
  return {
    client,
    id: joined.replica,
    wishes: () => client.messages.filter((message) => message.type === 'tail'),
    tell: (wish, lines, dropped = 0) => client.send({ type: 'lines', tail: wish?.tail ?? '', lines, dropped }),
  };
}

const wishOf = (replica: Joined): Promise<TailWish> => until(() => replica.wishes()[0], { what: 'a wish' });
const line = (n: number): string =>
  JSON.stringify({ time: '2026-11-22T10:00:00.000Z', replica: 'another', path: `/${n}` });
const paths = (reader: Reader): unknown[] => reader.lines.map(({ path }) => path);

describe('requests of replicas, as they are answered', () => {
  it('are for operators and admins, and who looks is in the audit log', async () => {
    const path = '/v1/regions/eu-west/access-log';
    for (const role of ['viewer', 'publisher'] as const)
      expect(await outcome((await as(app, role))('GET', path))).toBe('403 forbidden');
    expect(await auditOf(app, 'region/eu-west')).toMatchObject([{ action: 'region.create' }]);
    await Reader.of(`${path}?status=5xx&api=weather`);
    expect(await auditOf(app, 'region/eu-west')).toMatchObject([
      { action: 'region.create' },
      { action: 'access-log.tail', actor: 'bootstrap', after: { status: '5xx', api: 'weather' } },
    ]);
  });

  it('are refused where there is nothing of that name, and for filters that are none', async () => {
    const get = (path: string): Promise<string> => outcome(app.call('GET', `/v1/${path}`));
    expect(await get('regions/mars/access-log')).toBe('404 not_found');
    expect(await get('replicas/mars-1/access-log')).toBe('404 not_found');
    expect(await get('regions/eu-west/access-log?status=6xx')).toBe('400 invalid_request status');
    expect(await get('regions/eu-west/access-log?api=Weather')).toBe('400 invalid_request api');
    expect(await get('regions/eu-west/access-log?path=/a')).toBe('400 invalid_request path');
  });

  it('come from each replica of the region, with its name, and from no other', async () => {
    const [one, two, other] = [await join('eu-west'), await join('eu-west'), await join('us-east')];
    const reader = await Reader.of('/v1/regions/eu-west/access-log?application=7c9e6679-7425-40de-944b-e07fc1f90ae7');
    const wish = await wishOf(one);
    expect(wish).toMatchObject({ forMs: 15_000, filter: { application: '7c9e6679-7425-40de-944b-e07fc1f90ae7' } });
    expect(wish.linesPerSecond).toBeLessThanOrEqual(100);
    one.tell(wish, [line(1)]);
    two.tell(await wishOf(two), [line(2)], 3);
    other.tell(wish, [line(9)], 9);
    await until(() => reader.lines.length === 2 && reader.dropped === 3, { what: 'both lines' });
    expect(reader.lines.map(({ replica, path }) => `${String(replica)} ${String(path)}`).toSorted()).toEqual(
      [`${one.id} /1`, `${two.id} /2`].toSorted(),
    );
    const said = await until(() => reader.replicas.at(-1), { what: 'whose lines come' });
    expect(said).toEqual({ followed: [one.id, two.id].toSorted(), missing: [] });
    expect(other.wishes()).toEqual([]);
  });

  it('are wished for again and again, and no longer when the reader has gone', async () => {
    const replica = await join('eu-west');
    const reader = await Reader.of(`/v1/replicas/${replica.id}/access-log`);
    await until(() => replica.wishes().length >= 2, { what: 'a second wish' });
    reader.end();
    await until(() => replica.wishes().at(-1)?.forMs === 0, { what: 'the end of it' });
    expect(new Set(replica.wishes().map(({ tail }) => tail)).size).toBe(1);
  });

  it('come from a replica at another master, whole, whatever their size', async () => {
    const replica = await join('eu-west', second);
    const reader = await Reader.of('/v1/regions/eu-west/access-log');
    const wish = await wishOf(replica);
    const long = (n: number): string => JSON.stringify({ path: `/${n}`, requestId: '"\\'.repeat(900) });
    const all = Array.from({ length: 40 }, (_, n) => (n % 3 === 0 ? line(n) : long(n)));
    replica.tell(wish, all, 5);
    replica.tell(wish, [line(40)]);
    await until(() => reader.lines.length === 41, { what: 'all lines' });
    expect(paths(reader)).toEqual(Array.from({ length: 41 }, (_, n) => `/${n}`));
    expect(reader.dropped).toBe(5);
    reader.end();
    await until(() => replica.wishes().at(-1)?.forMs === 0, { what: 'the end of it' });
  });

  it('are not asked of a replica that does not know the question, and are said to be missing', async () => {
    const old = await join('us-east', app, 'something');
    await old.client.follow();
    const reader = await Reader.of('/v1/regions/us-east/access-log');
    const told = await until(() => reader.replicas.at(-1), { what: 'who is missing' });
    expect(told).toMatchObject({ followed: [], missing: [{ replica: old.id }] });
    expect([old.client.messages.some(({ type }) => type === 'tail'), old.client.closed]).toEqual([false, null]);
  });

  it('say so when no replica is there', async () => {
    const reader = await Reader.of('/v1/regions/empty/access-log');
    expect(await until(() => reader.replicas.at(-1), { what: 'who is there' })).toEqual({ followed: [], missing: [] });
  });

  it('leave out what is no line, and count it', async () => {
    const replica = await join('eu-west');
    const reader = await Reader.of('/v1/regions/eu-west/access-log');
    replica.tell(await wishOf(replica), ['{"path":"/1"}', 'event: line\ndata: {}', '{"path":"/2"}']);
    await until(() => reader.dropped === 1, { what: 'it to be counted' });
    expect(paths(reader)).toEqual(['/1', '/2']);
  });

  it('are shown to so many readers, and the next one is refused', async () => {
    for (let n = 0; n < 16; n++) await Reader.of('/v1/regions/empty/access-log');
    expect(await outcome(app.call('GET', '/v1/regions/empty/access-log'))).toBe('503 too_many_tails');
  });
});
