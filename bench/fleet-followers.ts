/**
 * A process with many replicas, started by `fleet.ts`. Light ones are the stream client of a replica that takes revisions
 * and acknowledges them, without a state; full ones verify them and write them to a disk, as a replica without gateways.
 */
import { hash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { decodeHeader, GENESIS_HASH, openStore, TrustedKeys } from '#artifacts';
import type { ReplicaStatus } from '#model';
import { createLog, sleep } from '#platform';
import { MasterClient } from '../apps/replica/src/master/master-client.js';
import { StateStore } from '../apps/replica/src/state/state-store.js';
import { StoreSource } from '../apps/replica/src/sync/revision-source.js';
import { RunState, steadyNow } from '../apps/replica/src/sync/run-state.js';
import { StreamClient } from '../apps/replica/src/sync/stream/stream-client.js';
import { SyncAgent } from '../apps/replica/src/sync/sync-agent.js';

export interface FollowersTask {
  master: string;
  joinToken: string;
  region: string;
  light: number;
  full: number;
  /** for the states of full ones */
  directory: string;
  storeUrl: string;
  publicKey: string;
}

/** Times are milliseconds since 1970 of a clock that is never set back. */
export interface FollowersReport {
  /** of each replica: pairs of revision and when it had it */
  seen: Float64Array[];
  /** bytes of revisions that light replicas were sent */
  bytes: number;
}

export type ToFollowers =
  | { kind: 'task'; task: FollowersTask }
  /** answered when every replica has it */
  | { kind: 'reach'; revision: number }
  | { kind: 'end' };
export type FromFollowers =
  | { kind: 'following'; replicas: number }
  | { kind: 'reached' }
  | { kind: 'report'; report: FollowersReport };

/** What every replica has of these, light or full. */
interface Follower {
  seen: number[];
  running: Promise<void>;
}

const log = createLog('fleet', 'silent');
const ending = new AbortController();
setMaxListeners(0, ending.signal); // one for each replica
const running = (): RunState => new RunState(ending.signal, { baseMs: 500, maxMs: 5_000 });
let bytes = 0;
let following = 0;

const say = (message: FromFollowers): void => void process.send?.(message);

function isFollowing(): void {
  following += 1;
  say({ kind: 'following', replicas: following });
}

function statusOf(replica: string, { region }: FollowersTask, revision: number): ReplicaStatus {
  return {
    replica,
    region,
    environment: 'prod',
    build: 'bench',
    state: 'live',
    source: 'stream',
    freshness: 'fresh',
    epoch: 1,
    revision,
    hash: null,
    root: null,
    head: revision,
    lagMs: null,
    throttle: 'local',
    nacks: [],
    lastError: null,
  };
}

function joined(task: FollowersTask): Promise<{ replica: string; token: string }> {
  const request = { token: task.joinToken, region: task.region, environment: 'prod' };
  return new MasterClient([task.master]).join(request, ending.signal);
}

async function light(task: FollowersTask): Promise<Follower> {
  const { replica, token } = await joined(task);
  const seen: number[] = [];
  const position = { epoch: 0, revision: 0, hash: GENESIS_HASH.toString('hex') };
  const stream = new StreamClient({
    urls: [task.master],
    token,
    position: () => position,
    served: () => ({ revision: position.revision, lagMs: null }),
    delta: () => null,
    status: () => statusOf(replica, task, position.revision),
    log,
    running: running(),
  });
  stream.onNews = (news) => {
    if (news.kind === 'up') isFollowing();
    for (let frames = stream.take(); frames.length > 0; frames = stream.take()) {
      for (const frame of frames) {
        const { header, signed } = decodeHeader(frame);
        position.epoch = header.epoch;
        position.revision = header.revision;
        position.hash = hash('sha256', signed);
        bytes += frame.length;
        seen.push(header.revision, steadyNow());
      }
      stream.acknowledge();
    }
  };
  return { seen, running: stream.run() };
}

async function full(task: FollowersTask, number: number): Promise<Follower> {
  const { replica, token } = await joined(task);
  const directory = join(task.directory, String(number));
  mkdirSync(directory);
  const state = StateStore.open(directory, 'prod');
  const seen: number[] = [];
  const stream = new StreamClient({
    urls: [task.master],
    token,
    position: () => state.position,
    served: () => ({ revision: state.position.revision, lagMs: null }),
    delta: (revision) => state.delta(revision),
    status: () => statusOf(replica, task, state.position.revision),
    log,
    running: running(),
  });
  const source = new StoreSource(openStore(task.storeUrl), 'prod');
  const trusted = new TrustedKeys([task.publicKey]);
  let had = state.position.revision;
  const agent = new SyncAgent({
    state,
    sources: [source],
    stream,
    trusted: () => trusted,
    log,
    pollMs: 2_000,
    streamPollMs: 60_000,
    onHead: () => undefined,
    onApplied: () => {
      const now = steadyNow();
      // several may have been applied together
      while (had < state.position.revision) seen.push(++had, now);
      stream.acknowledge();
    },
    onChange: () => undefined,
    onRefused: (code) => void process.stderr.write(`refused: ${code}\n`),
  });
  isFollowing();
  const done = agent.run(ending.signal).then(async () => {
    await source.reader.close();
    await state.close();
  });
  return { seen, running: done };
}

const followers: Follower[] = [];

async function begin(task: FollowersTask): Promise<void> {
  for (let number = 0; number < task.full; number++) followers.push(await full(task, number));
  for (let number = 0; number < task.light; number++) followers.push(await light(task));
}

async function end(): Promise<void> {
  ending.abort();
  await Promise.all(followers.map((follower) => follower.running));
  const report = { seen: followers.map(({ seen }) => Float64Array.from(seen)), bytes };
  process.send?.({ kind: 'report', report } satisfies FromFollowers, () => process.disconnect()); // once it is out
}

async function reach(revision: number): Promise<void> {
  while (followers.some(({ seen }) => (seen.at(-2) ?? 0) < revision)) await sleep(50, ending.signal);
  say({ kind: 'reached' });
}

function perform(message: ToFollowers): Promise<void> {
  if (message.kind === 'task') return begin(message.task);
  return message.kind === 'reach' ? reach(message.revision) : end();
}

process.on('message', (message: ToFollowers) => {
  const work = perform(message);
  work.catch((error: unknown) => {
    process.stderr.write(`${(error as Error).stack}\n`);
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit(0));
