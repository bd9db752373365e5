import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { EventOrder } from '../events/event-order.js';
import { auditOf, good, settle } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';
import { type Received, WebhookReceiver } from '../testing/webhook-receiver.js';

let app: StartedApp;
let receiver: WebhookReceiver;
/** what a path answers: a status, or whatever a function does */
const answers = new Map<string, number | ((one: Received) => number)>();
beforeAll(async () => {
  app = await startApp({ HELIO_WEBHOOK_NETWORKS: '127.0.0.0/8' });
  receiver = await WebhookReceiver.start();
  await settle(app, { prod: ['eu-west'], dev: ['lab'] });
  receiver.answer = (one, response) => {
    const answer = answers.get(one.path) ?? 204;
    const status = typeof answer === 'number' ? answer : answer(one);
    const headers = { location: `${receiver.url}/moved`, 'retry-after': '120' };
    if (status !== 0) response.writeHead(status, headers).end(`so it is: ${status}`.padEnd(100_000, '.'));
  };
});
afterAll(async () => {
  await app?.stop();
  receiver?.close();
});

const create = async (path: string, more: object = {}): Promise<string> =>
  (await good(app.call('POST', '/v1/webhooks', { url: receiver.url + path, types: ['chain.*'], ...more }))).id;

/** Something happens to each of the subjects, in this order. */
async function happens(...subjects: string[]): Promise<void> {
  for (const subject of subjects)
    await app.source.query(
      `INSERT INTO event (type, subject, environment_id, actor, data) VALUES ('chain.fork', $1, 'prod', 'test', '{}')`,
      [subject],
    );
  app.part(EventOrder).ring();
}
const deliveries = async (id: string, query = ''): Promise<CallAnswer['body'][]> =>
  (await good(app.call('GET', `/v1/webhooks/${id}/deliveries?limit=200${query}`))).items;
const states = async (id: string): Promise<string[]> => (await deliveries(id)).map(({ state }) => state).toReversed();
/** Waits until so many attempts have been made of the newest delivery. */
const attempted = (id: string, n: number) =>
  until(async () => (await deliveries(id)).find(({ attempts }) => attempts >= n), {
    what: `attempt ${n}`,
    within: 30_000,
  });
const shown = (id: string) => good(app.call('GET', `/v1/webhooks/${id}`));
/** The time until the next attempt is over. */
async function hurry(id: string): Promise<void> {
  await app.source.query(`UPDATE webhook SET paused_until = '-infinity' WHERE id = $1`, [id]);
  await app.source.query(`UPDATE webhook_delivery SET next_at = now() WHERE webhook_id = $1 AND state = 'waiting'`, [
    id,
  ]);
}
const subjectsAt = (path: string): string[] => receiver.at(path).map(({ event }) => event.subject);

describe('an event', () => {
  it('is sent to each webhook that asks for its type and environment, and to no other', async () => {
    const ids = await Promise.all([
      create('/all', { types: ['*'] }),
      create('/exact', { types: ['chain.fork'], environments: ['prod'] }),
      create('/dev', { environments: ['dev'] }),
      create('/other', { enabled: false }),
    ]);
    await happens('a/1');
    await receiver.count('/all', 1);
    await receiver.count('/exact', 1);
    expect([receiver.at('/dev').length, receiver.at('/other').length]).toEqual([0, 0]);
    expect(receiver.at('/exact')[0]?.event).toMatchObject({
      type: 'chain.fork',
      subject: 'a/1',
      environment: 'prod',
      actor: 'test',
    });
    expect(receiver.at('/all')[0]?.headers['webhook-id']).toBe(receiver.at('/exact')[0]?.event.id);
    for (const id of ids) await good(app.call('DELETE', `/v1/webhooks/${id}`));
  });

  it('waits for those before it of its subject, whatever becomes of them, and for nobody else', async () => {
    const id = await create('/order');
    const other = await create('/beside');
    let broken = true;
    answers.set('/order', ({ event }) => (broken && event.subject === 'o/1' ? 500 : 204));
    await happens('o/1', 'o/1', 'o/2', 'o/1', 'o/2');
    await receiver.count('/beside', 5);
    await until(async () => (await states(id)).join() === 'waiting,waiting,delivered,waiting,delivered', {
      what: 'o/2',
    });
    // again and again: an attempt that is under way puts the next one off when it ends
    await until(
      async () => subjectsAt('/order').filter((subject) => subject === 'o/1').length >= 2 || (await hurry(id)),
      { what: 'the second attempt', every: 200 },
    );
    const tried = new Set(receiver.at('/order').flatMap(({ event }) => (event.subject === 'o/1' ? [event.id] : [])));
    expect(tried.size).toBe(1);
    broken = false;
    await until(async () => (await shown(id)).waiting === 0 || (await hurry(id)), { what: 'all of it', every: 200 });
    const taken = receiver
      .at('/order')
      .filter(({ event }) => event.subject === 'o/1')
      .map(({ event }) => event.id);
    expect([...new Set(taken)]).toEqual(
      (await deliveries(id, '&subject=o/1')).map(({ event }) => event.id).toReversed(),
    );
    expect((await shown(id)).failures).toBe(0);
    await good(app.call('DELETE', `/v1/webhooks/${id}`));
    await good(app.call('DELETE', `/v1/webhooks/${other}`));
  });

  it('is given up after eight attempts, the next one of its subject comes, and one or all can be sent again', async () => {
    const id = await create('/dead');
    answers.set('/dead', 500);
    await happens('d/1', 'd/2');
    for (let n = 1; n <= 8; n++) {
      await until(async () => (await deliveries(id)).every(({ attempts }) => attempts >= n) || (await hurry(id)), {
        what: `attempt ${n} of both`,
        within: 30_000,
        every: 200,
      });
    }
    const dead = await until(
      async () => ((await deliveries(id, '&state=dead')).length === 2 ? deliveries(id, '&state=dead') : false),
      { what: 'the end of both' },
    );
    expect(dead[0]).toMatchObject({
      attempts: 8,
      status: 500,
      error: 'it answered 500',
      nextAttemptAt: null,
      event: { subject: 'd/2', type: 'chain.fork' },
    });
    expect(dead[0].excerpt.length).toBe(1024);
    expect((await app.call('GET', '/metrics')).body).toContain('heliograph_webhook_deliveries{state="dead"} 2');
    await happens('d/1');
    await until(async () => (await deliveries(id, '&subject=d/1'))[0]?.attempts === 1 || (await hurry(id)), {
      what: 'the next one',
      every: 200,
    });
    answers.delete('/dead');
    const before = receiver.at('/dead').length;
    const replayed = await good(app.call('POST', `/v1/webhooks/${id}/deliveries/${dead[0].id}/replay`));
    expect(replayed).toMatchObject({ state: 'waiting', attempts: 0 });
    await receiver.count('/dead', before + 1);
    expect(receiver.at('/dead').some(({ event }, n) => n >= before && event.id === dead[0].event.id)).toBe(true);
    expect(await good(app.call('POST', `/v1/webhooks/${id}/replay`))).toEqual({ replayed: 1 });
    await until(async () => (await shown(id)).waiting === 0 || (await hurry(id)), { what: 'all of it', every: 200 });
    expect(await states(id)).toEqual(['delivered', 'delivered', 'delivered']);
    expect((await auditOf(app, `webhook/${id}`)).map(({ action }) => action)).toEqual([
      'webhook.create',
      'webhook.replay',
      'webhook.replay',
    ]);
    await good(app.call('DELETE', `/v1/webhooks/${id}`));
  });
});

describe('an endpoint', () => {
  it('that answers 410 is disabled, and sent nothing until it is enabled again', async () => {
    const id = await create('/gone');
    answers.set('/gone', 410);
    await happens('g/1');
    const view = await until(async () => ((await shown(id)).enabled ? false : shown(id)), {
      what: 'it to be disabled',
    });
    expect(view).toMatchObject({ disabledReason: 'its endpoint answered 410 Gone', waiting: 1 });
    await happens('g/2');
    await hurry(id);
    await until(
      async () =>
        (await app.source.query(`SELECT FROM event WHERE subject = 'g/2' AND position IS NOT NULL`)).length === 1,
      { what: 'g/2' },
    );
    expect(receiver.at('/gone').length).toBe(1);
    answers.delete('/gone');
    const { headers } = await app.call('GET', `/v1/webhooks/${id}`);
    await good(app.call('PATCH', `/v1/webhooks/${id}`, { enabled: true }, { 'if-match': headers.get('etag') ?? '' }));
    await hurry(id);
    await receiver.count('/gone', 2);
    expect(subjectsAt('/gone')).toEqual(['g/1', 'g/1']); // what happened meanwhile was not for it
    expect((await auditOf(app, `webhook/${id}`)).map(({ action }) => action)).toEqual([
      'webhook.create',
      'webhook.disable',
      'webhook.update',
    ]);
  });

  it('that redirects is not followed, and is told so', async () => {
    const id = await create('/redirects');
    answers.set('/redirects', 302);
    await happens('r/1');
    expect(await attempted(id, 1)).toMatchObject({
      status: 302,
      error: expect.stringContaining('redirects are not followed'),
    });
    expect(receiver.at('/moved')).toEqual([]);
    await good(app.call('DELETE', `/v1/webhooks/${id}`));
  });

  it('that asks for time with 429 or 503 is left alone for so long, whatever else there is for it', async () => {
    const id = await create('/busy');
    answers.set('/busy', 429);
    await happens('b/1');
    await attempted(id, 1);
    const left = async (): Promise<number> => {
      const [row]: { left: number }[] = await app.source.query(
        `SELECT extract(epoch FROM paused_until - now())::float8 AS left FROM webhook WHERE id = $1`,
        [id],
      );
      return row?.left ?? 0;
    };
    await until(async () => (await left()) > 100, { what: 'the pause' });
    expect(await left()).toBeLessThanOrEqual(120);
    await happens('b/2');
    await until(async () => (await shown(id)).waiting === 2, { what: 'the second event' });
    expect(subjectsAt('/busy')).toEqual(['b/1']);
    await good(app.call('DELETE', `/v1/webhooks/${id}`));
  });

  it('that never answers, or breaks off, or is not there, holds up no other one', async () => {
    const mute = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await new Promise((resolve) => mute.once('listening', resolve));
    const rude = createServer((socket) =>
      socket.on('error', () => undefined).once('data', () => socket.destroy()),
    ).listen(0, '127.0.0.1');
    await new Promise((resolve) => rude.once('listening', resolve));
    const port = (server: typeof mute): number => (server.address() as AddressInfo).port;
    const nowhere = await WebhookReceiver.start();
    nowhere.close();
    const [slow, breaks, gone] = await Promise.all([
      create('', { url: `http://127.0.0.1:${port(mute)}/` }),
      create('', { url: `http://127.0.0.1:${port(rude)}/` }),
      create('', { url: nowhere.url }),
    ]);
    const fine = await create('/fine');
    await happens(...Array.from({ length: 20 }, (_, n) => `s/${n}`));
    await until(async () => (await shown(fine)).waiting === 0 && receiver.at('/fine').length === 20, {
      what: 'the one that is fine',
    });
    expect((await attempted(gone, 1)).error).toContain('ECONNREFUSED');
    expect((await attempted(breaks, 1)).status).toBe(null);
    expect((await attempted(slow, 1)).error).toBe('no answer within 10 s');
    for (const id of [slow, breaks, gone, fine]) await good(app.call('DELETE', `/v1/webhooks/${id}`));
    mute.close();
    rude.close();
  }, 60_000);

  it('that is back after an outage gets at once what has waited', async () => {
    const id = await create('/back');
    answers.set('/back', 503);
    await happens('k/1');
    await attempted(id, 1);
    await app.source.query(`UPDATE webhook_delivery SET next_at = now() + interval '5 hours' WHERE webhook_id = $1`, [
      id,
    ]);
    await app.source.query(`UPDATE webhook SET failures = 9, paused_until = '-infinity' WHERE id = $1`, [id]);
    answers.delete('/back');
    await happens('k/2');
    await until(async () => (await states(id)).join() === 'delivered,delivered', { what: 'both' });
    expect(subjectsAt('/back')).toEqual(['k/1', 'k/2', 'k/1']);
  });
});
