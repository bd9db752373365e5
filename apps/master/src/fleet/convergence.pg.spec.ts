import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { TrustedKeys } from '#artifacts';
import { until } from '#harness';
import { as, good, outcome, pages } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp, startBeside } from '../testing/start-app.js';
import { statusOf, StreamClient } from '../testing/stream-client.js';

interface Joined {
  replica: string;
  region: string;
  environment: string;
  token: string;
}

let app: StartedApp;
let second: StartedApp;
let trusted: TrustedKeys;
let plans = 0;
const clients: StreamClient[] = [];
const west: Joined[] = [];
let east: Joined;

async function join(region: string): Promise<Joined> {
  const { token } = await good(app.call('POST', '/v1/join-tokens', { region }));
  const request = { token, region, environment: 'prod', build: '0.1.0' };
  const joined = await good(app.call('POST', '/v1/replicas/join', request));
  trusted = new TrustedKeys(joined.trustedKeys);
  return joined as Joined;
}

async function connect(joined: Joined, to: StartedApp): Promise<StreamClient> {
  const client = await StreamClient.connect(to.url, joined.token, trusted);
  clients.push(client);
  await client.follow();
  return client;
}

const write = (path = '', headers: Record<string, string> = {}, at = app): Promise<CallAnswer> =>
  at.call('POST', `/v1/plans${path}`, { id: `plan-${++plans}`, rate: { limit: plans, per: 'second' } }, headers);
const revisionOf = (answer: CallAnswer): number =>
  Number(/prod@(\d+)/.exec(answer.headers.get('heliograph-revision') ?? '')?.[1]);
/** Waits a second; where the machine was so slow that others were late too, or the publisher, it is tried again. */
function missingOne(send: (attempt: number) => Promise<CallAnswer>): Promise<CallAnswer> {
  let attempts = 0;
  const misses = async (): Promise<CallAnswer | null> => {
    const answer = await send(++attempts);
    return /^[\w-]+@\d+$/.test(answer.headers.get('heliograph-missing') ?? '') ? answer : null;
  };
  return until(misses, { what: 'an answer that exactly one replica is missing from' });
}
const convergence = (revision: number, at = app): Promise<CallAnswer['body']> =>
  good(at.call('GET', `/v1/environments/prod/revisions/${revision}/convergence`));

beforeAll(async () => {
  app = await startApp();
  second = await startBeside(app);
  await good(app.call('POST', '/v1/environments', { id: 'prod', position: 1 }));
  for (const id of ['eu-west', 'us-east', 'empty'])
    await good(app.call('POST', '/v1/regions', { id, environment: 'prod' }));
  west.push(await join('eu-west'), await join('eu-west'));
  east = await join('us-east');
  for (const joined of west) await connect(joined, app);
  await connect(east, second);
});
afterAll(async () => {
  for (const client of clients) client.socket.terminate();
  await second?.stop();
  await app?.stop();
});

describe('Prefer: wait', () => {
  it('R8 answers when every replica has the write, also those that are connected to another master', async () => {
    for (const at of [app, second]) {
      const answer = await write('', { prefer: 'wait=30' }, at);
      expect([answer.status, answer.headers.get('preference-applied')]).toEqual([201, 'wait=30']);
      expect(clients.map(({ position }) => position.revision >= revisionOf(answer))).toEqual([true, true, true]);
      const { complete, replicas, regions } = await convergence(revisionOf(answer), at);
      expect({ complete, replicas, regions }).toEqual({
        complete: true,
        replicas: { total: 3, applied: 3, silent: 0 },
        regions: {
          'eu-west': { total: 2, applied: 2 },
          'us-east': { total: 1, applied: 1 },
          empty: { total: 0, applied: 0 },
        },
      });
    }
  });

  it('answers 202 with what is missing past the time, and with all that the usual answer says', async () => {
    const slow = clients[2];
    if (!slow) throw new Error('the third client is missing');
    slow.acknowledges = false;
    const before = slow.position.revision;
    const app1 = await good(app.call('POST', '/v1/applications', { name: 'crm' }));
    const path = `/v1/applications/${app1.id}/keys`;
    let key = '';
    const answer = await missingOne((attempt) => {
      key = `k${attempt}`;
      return app.call('POST', path, { environment: 'prod' }, { prefer: 'wait=1', 'idempotency-key': key });
    });
    expect(answer.status).toBe(202);
    expect(answer.body.secret).toMatch(/^hg_live_/); // it is shown once
    expect(answer.headers.get('location')).toContain(path);
    expect(answer.headers.get('preference-applied')).toBe('wait=1');
    expect(answer.headers.get('heliograph-missing')).toBe(`${east.replica}@${before}`);
    expect(answer.headers.get('heliograph-missing-count')).toBe('1');
    const revision = revisionOf(answer);
    expect(answer.headers.get('link')).toBe(`</v1/environments/prod/revisions/${revision}/convergence>; rel="monitor"`);
    // others have it: that is a majority, and a region
    for (const applied of ['quorum', 'region:eu-west', 'region:empty']) {
      const write1 = await write(`?applied=${applied}`, { prefer: 'wait=30' });
      expect([applied, write1.status]).toEqual([applied, 201]);
    }
    expect((await write('?applied=region:us-east', { prefer: 'wait=1' })).status).toBe(202);
    const open = await convergence(revision);
    expect(open).toMatchObject({ complete: false, replicas: { total: 3, applied: 2, silent: 0 } });
    expect(open.missing).toMatchObject([
      { replica: east.replica, region: 'us-east', revision: before, connected: true, silent: false },
    ]);

    slow.acknowledges = true;
    slow.send({ type: 'ack', revision: slow.position.revision, lagMs: null });
    const again = await app.call('POST', path, { environment: 'prod' }, { prefer: 'wait=30', 'idempotency-key': key });
    expect([again.status, again.body]).toEqual([201, answer.body]);
    expect(revisionOf(again)).toBe(revision);
    const removed = await app.call('DELETE', `/v1/applications/${app1.id}`, undefined, { prefer: 'wait=30' });
    expect(removed.status).toBe(204);
  });

  it('names what is wrong with it, before anything is written', async () => {
    const before = plans;
    expect(await outcome(write('', { prefer: 'wait=61' }))).toBe('400 invalid_request Prefer');
    expect(await outcome(write('?applied=all'))).toBe('400 invalid_request applied');
    expect(await outcome(write('?applied=most', { prefer: 'wait=5' }))).toBe('400 invalid_request applied');
    expect(await outcome(write('?applied=region:mars', { prefer: 'wait=5' }))).toBe('400 invalid_request applied');
    expect(await outcome(write('?aplied=all', { prefer: 'wait=5' }))).toBe('400 invalid_request aplied');
    for (let n = before + 1; n <= plans; n++)
      expect(await outcome(app.call('GET', `/v1/plans/plan-${n}`))).toBe('404 not_found');
    expect(await outcome(app.call('GET', '/v1/plans?applied=all', undefined, { prefer: 'wait=5' }))).toBe(
      '400 invalid_request applied',
    );
  });

  it('refuses a region that the write does not reach, and writes nothing', async () => {
    await good(app.call('POST', '/v1/environments', { id: 'test', position: 0 }));
    await good(app.call('POST', '/v1/regions', { id: 'lab', environment: 'test' }));
    const { id } = await good(app.call('POST', '/v1/applications', { name: 'erp' }));
    const path = `/v1/applications/${id}/keys`;
    const prefer = { prefer: 'wait=5' };
    const issue = (headers: Record<string, string>) =>
      app.call('POST', `${path}?applied=region:lab`, { environment: 'prod' }, headers);
    expect(await outcome(issue(prefer))).toBe('400 invalid_request applied');
    expect(await outcome(issue({ ...prefer, 'idempotency-key': 'lab' }))).toBe('400 invalid_request applied');
    expect((await good(app.call('GET', path))).items).toEqual([]);
    // plans are of every environment
    expect((await write('?applied=region:lab', { prefer: 'wait=30' })).status).toBe(201);
  });

  it('does not wait longer for the publisher than it was asked to', async () => {
    const runner = app.source.createQueryRunner();
    await runner.connect();
    try {
      await runner.startTransaction();
      await runner.query('SELECT FROM chain FOR UPDATE'); // nothing can be published
      let answer: CallAnswer | undefined;
      const writing = write('', { prefer: 'wait=1' }).then((answered) => (answer = answered));
      await until(() => answer, { what: 'an answer before it is known what carries the write', within: 9_000 });
      await runner.rollbackTransaction();
      const { status, headers } = await writing;
      expect([status, headers.get('heliograph-missing')]).toEqual([202, 'unpublished in prod, unpublished in test']);
    } finally {
      await runner.release();
    }
  });

  it('R10 does not count a replica that follows another chain', async () => {
    const stray = await join('us-east');
    onTestFinished(() => good(app.call('DELETE', `/v1/replicas/${stray.replica}`)));
    const authorization = `Bearer ${stray.token}`;
    const report = (change: object) => {
      const status = statusOf(stray, { source: 'store', state: 'polling', ...change });
      return good(app.call('POST', '/v1/replicas/status', status, { authorization }));
    };
    const revision = revisionOf(await write());
    for (const change of [{ revision: revision + 500 }, { revision, hash: 'f'.repeat(64) }]) {
      await report(change);
      const answer = await missingOne(() => write('', { prefer: 'wait=1' }));
      expect([answer.status, answer.headers.get('heliograph-missing-count')]).toEqual([202, '1']);
      const { complete, missing } = await convergence(revision);
      expect({ complete, missing }).toMatchObject({
        complete: false,
        missing: [{ replica: stray.replica, otherChain: true }],
      });
    }
  });

  it('takes what a replica reports over REST for an answer, too', async () => {
    const reader = await join('us-east');
    onTestFinished(() => good(app.call('DELETE', `/v1/replicas/${reader.replica}`)));
    const before = revisionOf(await write());
    const waiting = write('', { prefer: 'wait=60' });
    await Promise.all(clients.map((client) => client.reaches(before + 1)));
    const head = before + 1;
    const status = statusOf(reader, { source: 'store', state: 'polling', revision: head, head });
    const authorization = `Bearer ${reader.token}`;
    await good(app.call('POST', '/v1/replicas/status', status, { authorization }));
    expect((await waiting).status).toBe(201);
  });
});

describe('the fleet', () => {
  it('R2 shows whether what a replica holds is what the master holds', async () => {
    const [one, other] = [clients[0], clients[1]];
    const [first, last] = west;
    if (!one || !other || !first || !last) throw new Error('clients are missing');
    const { revision } = one.position;
    const { root } = await good(app.call('GET', `/v1/environments/prod/revisions/${revision}`));
    one.send({ type: 'status', status: statusOf(first, { revision, root }) });
    other.send({ type: 'status', status: statusOf(last, { revision, root: '0'.repeat(64), state: 'halted' }) });
    const answer = await until(
      async () => {
        const body = await convergence(revision);
        return body.roots.different.length === 1 && body.roots.equal === 1 && body;
      },
      { what: 'the roots to be compared' },
    );
    expect(answer.complete).toBe(false);
    expect(answer.roots).toEqual({
      equal: 1,
      unknown: 1,
      different: [{ replica: last.replica, region: 'eu-west', revision, root: '0'.repeat(64), expected: root }],
    });
    const view = (joined: Joined) => good(app.call('GET', `/v1/replicas/${joined.replica}`));
    expect(await view(first)).toMatchObject({
      connected: true,
      connectedTo: app.config.instance,
      state: 'live',
      source: 'stream',
      revision,
      behind: 0,
      behindMs: 0,
      rootMatches: true,
    });
    expect(await view(last)).toMatchObject({ rootMatches: false, state: 'halted' });
    expect(await view(east)).toMatchObject({ connectedTo: second.config.instance, rootMatches: null });
    const ids = async (query: string) => (await pages(app, `/v1/replicas?${query}`, 50)).map(({ id }) => id);
    expect(await ids('state=halted')).toEqual([last.replica]);
    expect(await ids('connected=true')).toEqual([first.replica, last.replica, east.replica].sort());
    expect(await ids('connected=false')).toEqual([]);
    expect(await outcome(app.call('GET', '/v1/replicas?state=odd&connected=maybe'))).toBe(
      '400 invalid_request state, connected',
    );
  });

  it('shows since when a replica is in its state, and how far behind', async () => {
    const [client] = clients;
    const [joined] = west;
    if (!client || !joined) throw new Error('clients are missing');
    const view = () => good(app.call('GET', `/v1/replicas/${joined.replica}`));
    const before = await view();
    client.acknowledges = false;
    const { revision } = client.position;
    client.send({ type: 'status', status: statusOf(joined, { revision, state: 'catching-up' }) });
    await write();
    await write();
    const behind = await until(
      async () => {
        const now = await view();
        return now.behind === 2 && now.state === 'catching-up' && now;
      },
      { what: 'it to be known behind' },
    );
    expect(behind).toMatchObject({ revision });
    expect(behind.behindMs).toBeGreaterThan(0);
    expect(Date.parse(behind.stateSince)).toBeGreaterThan(Date.parse(before.stateSince));
    client.acknowledges = true;
    client.send({ type: 'ack', revision: client.position.revision, lagMs: 3 });
    await until(async () => (await view()).behind === 0, { what: 'it to have caught up' });
    expect((await view()).lagMs).toBe(3);
  });

  it('is refused for what is not there', async () => {
    const path = '/v1/environments/prod/revisions';
    expect(await outcome(app.call('GET', `${path}/99999/convergence`))).toBe('404 not_found');
    expect(await outcome(app.call('GET', `${path}/0/convergence`))).toBe('400 invalid_request revision');
    expect(await outcome(app.call('GET', '/v1/environments/mars/revisions/1/convergence'))).toBe('404 not_found');
    const viewer = await as(app, 'viewer');
    expect(await outcome(viewer('GET', `${path}/1/convergence`))).toBe('200');
  });
});
