import { afterEach, describe, expect, it, vi } from 'vitest';
import { deltaName } from '#artifacts';
import { until } from '#harness';
import { StateWriteError, WriterPort } from '../state/writer-port.js';
import { Follower } from '../testing/follower.js';
import { keyOp } from '../testing/sample-ops.js';
import { ScriptedMaster } from '../testing/scripted-master.js';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const end of ends.splice(0).reverse()) await end();
});

async function scriptedMaster(): Promise<ScriptedMaster> {
  const master = await ScriptedMaster.start(0);
  ends.push(() => master.stop());
  return master;
}

function follower(masters: readonly ScriptedMaster[]): Follower {
  const f = new Follower({ masters: masters.map(({ url }) => url) });
  ends.push(() => f.remove());
  return f;
}

const reaches = (f: Follower, revision: number): Promise<unknown> =>
  until(() => f.agent.sync.revision === revision && f.state.position.revision === revision, {
    what: `revision ${revision}`,
    within: 60_000,
  });

it('R8 a way that ended half-way, as the store went away, is gone on from there by the stream, which is asked once', async () => {
  const master = await scriptedMaster();
  master.refuses = 503;
  const f = follower([master]);
  const all: Buffer[] = [];
  for (let n = 1; n <= 120; n++) {
    const { bytes } = f.chain.seal([keyOp(`k${n}`)]);
    all.push(bytes);
    if (n !== 90) await f.store.create(deltaName('prod', n), bytes);
  }
  await f.chain.putHead(f.store);
  const asked: number[] = [];
  master.onFollow = (one, { revision }) => {
    asked.push(revision);
    one.intent('changes', f.chain.head());
    for (const bytes of all.slice(revision)) one.frame(bytes);
  };
  f.start();
  await until(() => f.state.position.revision === 89, { what: 'half of the way', within: 60_000 });
  master.refuses = null;
  await reaches(f, 120);
  expect(asked).toEqual([89]);
});

/** The thread that writes ends once between its commit and its answer. @returns whether it has */
function loseOneAnswer(): () => boolean {
  let lost = false;
  const call = Reflect.get(WriterPort.prototype, 'call') as (...args: unknown[]) => Promise<unknown>;
  vi.spyOn(WriterPort.prototype, 'call').mockImplementation(async function (this: WriterPort, method, ...args) {
    const value: unknown = await Reflect.apply(call, this, [method, ...args]);
    if (method === 'applyRevisions' && !lost) {
      lost = true;
      throw new StateWriteError('the thread that writes the state: it ended');
    }
    return value as never;
  });
  return () => lost;
}

describe('R8 a write whose answer is lost after its commit', () => {
  it('counts, and following a store goes on', async () => {
    const f = follower([]);
    await f.chain.publish(f.store, [keyOp('a')]);
    const isLost = loseOneAnswer();
    f.start();
    await reaches(f, 1);
    expect(isLost()).toBe(true);
    await f.chain.publish(f.store, [keyOp('b')]);
    await reaches(f, 2);
    expect(f.agent.sync.faults).toEqual({});
  });

  it('counts, is acknowledged, and following a stream goes on without asking anew', async () => {
    const master = await scriptedMaster();
    const f = follower([master]);
    await f.chain.putHead(f.store);
    master.onFollow = (one) => one.intent('none', f.chain.head());
    f.start();
    const connection = await master.following();
    await until(() => f.agent.sync.state === 'live', { what: 'the stream' });
    const isLost = loseOneAnswer();
    connection.frame(f.chain.seal([keyOp('a')]).bytes);
    connection.frame(f.chain.seal([keyOp('b')]).bytes);
    await reaches(f, 2);
    await until(() => connection.acked === 2, { what: 'the acknowledgement' });
    expect([isLost(), connection.follows.length]).toEqual([true, 1]);
  });
});
