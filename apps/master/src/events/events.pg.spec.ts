import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { as, good, outcome, pages, settle } from '../testing/answers.js';
import { type StartedApp, startApp, startBeside } from '../testing/start-app.js';
import { EVENT_KINDS, type EventView } from './event-kinds.js';
import { EventKeeper } from './event-keeper.js';
import { EventOrder } from './event-order.js';
import { ExpiryWatch } from './expiry-watch.js';
import { ReplicaWatch } from './replica-watch.js';

let app: StartedApp;
let application: string;
beforeAll(async () => {
  app = await startApp();
  await settle(app, { prod: ['eu-west'], dev: ['lab'] });
  application = (await good(app.call('POST', '/v1/applications', { name: 'shop', owner: 'shop@example.com' }))).id;
});
afterAll(() => app?.stop());

const list = async (query: string): Promise<EventView[]> => (await good(app.call('GET', `/v1/events?${query}`))).items;
/** Waits until the subject has so many events, and shows their types. */
const typesOf = async (subject: string, n: number): Promise<string[]> => {
  const seen = () => list(`subject=${subject}&limit=200`);
  const events = await until(async () => ((await seen()).length >= n ? seen() : false), {
    what: `${n} events of ${subject}`,
  });
  for (const { type, data } of events) EVENT_KINDS.get(type)?.data.parse(data);
  return events.map(({ type }) => type.replace('credential.', ''));
};
const issue = (more: object = {}) =>
  good(app.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod', ...more }));

describe('credentials', () => {
  it('tell of what becomes of a key, in order, and nothing of its secret', async () => {
    const key = await issue({ name: 'till' });
    const path = `/v1/applications/${application}/keys`;
    const next = await good(app.call('POST', `${path}/${key.id}/rotate`, { overlapSeconds: 3600 }));
    await good(app.call('POST', `${path}/${key.id}/revoke`, { reason: 'moved' }));
    await good(app.call('POST', `${path}/${key.id}/revoke`, { reason: 'twice' }));
    expect(await typesOf(`key/${key.id}`, 3)).toEqual(['issued', 'rotated', 'revoked']);
    await good(app.call('POST', '/v1/leaked-keys', { key: next.secret, revoke: true, reason: 'on a paste bin' }));
    expect(await typesOf(`key/${next.id}`, 2)).toEqual(['issued', 'leaked']);
    const all = await list(`type=credential.*&environment=prod`);
    expect(all.find(({ type }) => type === 'credential.rotated')?.data).toMatchObject({
      name: 'till',
      replacedBy: next.id,
    });
    expect(all.find(({ type }) => type === 'credential.leaked')?.data).toMatchObject({
      reason: 'on a paste bin',
      application,
    });
    for (const { secret } of [key, next]) expect(JSON.stringify(all)).not.toContain(secret.slice(8, 30));
    expect(JSON.stringify(all)).not.toContain('hash');
  });

  it('tell of clients, their tokens, and access tokens of this API', async () => {
    const client = await good(
      app.call('POST', `/v1/applications/${application}/clients`, { environment: 'prod', scopes: [] }),
    );
    const path = `/v1/applications/${application}/clients/${client.id}`;
    await good(app.call('POST', `${path}/rotate`, {}));
    await good(app.call('POST', `${path}/revoke-tokens`, {}));
    await good(app.call('POST', `${path}/revoke`, {}));
    expect(await typesOf(`client/${client.id}`, 4)).toEqual(['issued', 'rotated', 'tokens-revoked', 'revoked']);
    const token = await good(app.call('POST', '/v1/access-tokens', { name: 'ci', role: 'viewer' }));
    await good(app.call('DELETE', `/v1/access-tokens/${token.id}`));
    expect(await typesOf(`access-token/${token.id}`, 2)).toEqual(['issued', 'revoked']);
  });

  it('tell once that the time of one is over, whoever looks', async () => {
    const [first, second] = [await issue(), await issue()];
    await app.source.query(`UPDATE api_key SET expires_at = now() - interval '61 seconds' WHERE id = $1`, [first.id]);
    await app.source.query(`UPDATE api_key SET expires_at = now() - interval '10 seconds' WHERE id = $1`, [second.id]);
    await app.source.query(`UPDATE expiry_told SET until = now() - interval '2 minutes'`);
    const watch = app.part(ExpiryWatch);
    await Promise.all([watch.sweep(), watch.sweep()]);
    await watch.sweep();
    expect(await typesOf(`key/${first.id}`, 2)).toEqual(['issued', 'expired']);
    expect(await typesOf(`key/${second.id}`, 1)).toEqual(['issued']); // a minute later
  });
});

describe('replicas', () => {
  it('tell once of each change: silent, halted, and well again', async () => {
    const { token } = await good(app.call('POST', '/v1/join-tokens', { region: 'eu-west' }));
    const joining = { token, region: 'eu-west', environment: 'prod', build: '0.1.0' };
    const { replica } = await good(app.call('POST', '/v1/replicas/join', joining));
    const watch = app.part(ReplicaWatch);
    const becomes = async (status: object, reported: string) => {
      await app.source.query(`UPDATE replica SET status = $2, reported_at = now() - $3::interval WHERE id = $1`, [
        replica,
        status,
        reported,
      ]);
      await Promise.all([watch.look(true), watch.look(true), watch.look(true)]);
    };
    await becomes({ state: 'live', freshness: 'fresh' }, '59 seconds');
    await becomes({ state: 'live', freshness: 'fresh' }, '61 seconds');
    await becomes({ state: 'halted', freshness: 'fresh' }, '1 second');
    await becomes({ state: 'live', freshness: 'fresh' }, '1 second');
    const subject = `replica/${replica}`;
    expect(await typesOf(subject, 3)).toEqual(['replica.stale', 'replica.halted', 'replica.recovered']);
    const events = await list(`subject=${subject}`);
    expect(events.map(({ data }) => data)).toMatchObject([
      { reason: 'silent', before: 'well', region: 'eu-west' },
      { reason: 'halted', before: 'stale' },
      { reason: 'none', before: 'halted' },
    ]);
    // a master that could not hear for a while does not blame those that it did not hear
    await app.source.query(`UPDATE replica SET reported_at = now() - interval '1 hour'`);
    await watch.look(false);
    await watch.sweep();
    expect((await list(`subject=${subject}`)).length).toBe(3);
  });
});

describe('the order of events', () => {
  const event = (query: { query(sql: string, values: unknown[]): Promise<unknown> }, subject: string) =>
    query.query(
      `INSERT INTO event (type, subject, environment_id, actor, data) VALUES ('webhook.test', $1, 'dev', 'test', '{}')`,
      [subject],
    );

  it('is that in which they become visible: nobody who goes on after the last one misses one of a longer transaction', async () => {
    const runner = app.source.createQueryRunner();
    await runner.startTransaction();
    await event(runner, 'test/early'); // has the smaller number, and commits later
    await event(app.source, 'test/late');
    expect(await typesOf('test/late', 1)).toEqual(['webhook.test']);
    const [seen] = await list('order=desc&limit=1');
    expect(seen?.subject).toBe('test/late');
    await runner.commitTransaction();
    await runner.release();
    const rest = await until(async () => (await list(`after=${seen?.id}`))[0], { what: 'the longer transaction' });
    expect(rest.subject).toBe('test/early');
  });

  it('is the same for all, without gaps and doubles, however many masters write and give it out', async () => {
    const other = await startBeside(app);
    const subjects = Array.from({ length: 8 }, () => `test/${randomUUID()}`);
    try {
      const write = async (subject: string, at: StartedApp) => {
        for (let n = 0; n < 20; n++) await event(at.source, subject);
      };
      await Promise.all(subjects.map((subject, n) => write(subject, n % 2 ? app : other)));
      for (const at of [app, other]) at.part(EventOrder).ring();
      await until(async () => (await app.source.query('SELECT FROM event WHERE position IS NULL')).length === 0, {
        what: 'the order',
      });
    } finally {
      await other.stop();
    }
    const rows: { subject: string }[] = await app.source.query('SELECT subject, written FROM event ORDER BY position');
    for (const subject of subjects) {
      const written = rows
        .filter((row) => row.subject === subject)
        .map((row) => Number((row as unknown as { written: string }).written));
      expect(written.length).toBe(20);
      expect(written).toEqual(written.toSorted((a, b) => a - b));
    }
    const paged = await pages(app, '/v1/events', 50);
    expect(paged.length).toBe(rows.length);
    expect(new Set(paged.map(({ id }) => id)).size).toBe(rows.length);
    expect((await pages(app, '/v1/events?order=desc', 50)).map(({ id }) => id)).toEqual(
      paged.map(({ id }) => id).toReversed(),
    );
  });
});

describe('/v1/events', () => {
  it('shows what was asked for, to everybody with a token, and refuses what cannot be', async () => {
    const viewer = await as(app, 'viewer');
    expect((await good(viewer('GET', '/v1/events?type=credential.issued&limit=1'))).items.length).toBe(1);
    expect(await list('type=promotion.*')).toEqual([]);
    expect(await list('environment=nowhere')).toEqual([]);
    expect(await list(`since=${new Date(Date.now() + 60_000).toISOString()}`)).toEqual([]);
    expect(await outcome(viewer('GET', '/v1/events?type=promotions'))).toBe('400 invalid_request type');
    expect(await outcome(viewer('GET', `/v1/events?after=${randomUUID()}`))).toBe('400 invalid_request after');
    expect(await outcome(viewer('GET', '/v1/events?cursor=x'))).toBe('400 invalid_request cursor');
  });

  it('is described, with webhooks and every type of an event', async () => {
    const { paths, components } = await good(app.call('GET', '/openapi.json'));
    for (const path of ['/v1/events', '/v1/webhooks', '/v1/webhooks/{webhook}/deliveries/{delivery}/replay'])
      expect(paths[path], path).toBeDefined();
    for (const type of EVENT_KINDS.keys())
      expect(components.schemas.Event.properties.type.description).toContain(`\`${type}\``);
  });

  it('keeps events for 30 days', async () => {
    const [old] = await list('limit=1');
    await app.source.query(`UPDATE event SET at = now() - interval '31 days' WHERE id = $1`, [old?.id]);
    await app.part(EventKeeper).sweep();
    expect((await list('limit=1'))[0]?.id).not.toBe(old?.id);
  });
});
