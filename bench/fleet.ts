import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { steadyNow } from '../apps/replica/src/sync/run-state.js';
import { postgresVersion } from './bare-rows.js';
import { cpuTime } from './cpu-time.js';
import type { FollowersReport, FollowersTask, FromFollowers, ToFollowers } from './fleet-followers.js';
import { type LoneMaster, MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine, quantile } from './machine.js';
import { numbersFrom, say } from './options.js';
import { paced, type Seen } from './paced.js';
import { notifyListen } from './references.js';

const options = numbersFrom(
  `
Many replicas on one master process, without gateways, and keys issued through REST at a steady rate: how long after the answer
to the write each replica has it, and what a replica costs the master in CPU, memory and bytes. Most replicas are light: the
stream client of a replica, which takes and acknowledges revisions; some are full: they verify them and write them to a disk.
(A disk and two cores cannot take every revision 200 times; on machines of their own the replicas all are full.) First the same
writes without replicas, and in the same run PostgreSQL NOTIFY -> LISTEN, for comparison.`,
  { replicas: 200, full: 5, rate: 100, seconds: 20 },
);
/** Light ones in one process: above, their process and not the master would be measured. */
const A_PROCESS = 100;
const FOLLOWING_WITHIN_MS = 120_000;
/** PostgreSQL takes 100 connections */
const MOST_LISTENERS = 50;

interface Written {
  sent: number;
  answered: number;
}

interface Cost {
  cpuMs: number;
  seconds: number;
  /** the first write that each revision carries: when it was sent and answered, by `steadyNow` */
  revisions: Map<number, Written>;
}

async function writes(
  master: LoneMaster,
  calls: MasterCalls,
  application: string,
  seconds = options.seconds,
): Promise<Cost> {
  const revisions = new Map<number, Written>();
  const began = performance.now();
  const before = cpuTime(master.pid) ?? Number.NaN;
  await paced(options.rate, seconds, async () => {
    const sent = steadyNow();
    const { headers } = await calls.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
    const revision = Number(String(headers['heliograph-revision']).split('@')[1]);
    if (!revisions.has(revision)) revisions.set(revision, { sent, answered: steadyNow() });
    return null;
  });
  const cpuMs = (cpuTime(master.pid) ?? Number.NaN) - before;
  return { cpuMs, seconds: (performance.now() - began) / 1000, revisions };
}

/** Resident memory of a process in KiB. */
function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

class Followers {
  private readonly children: { process: ChildProcess; wanted: number; following: number }[] = [];

  start(task: FollowersTask): void {
    const child = fork(fileURLToPath(new URL('./fleet-followers.js', import.meta.url)), { serialization: 'advanced' });
    const one = { process: child, wanted: task.light + task.full, following: 0 };
    child.on('message', (message: FromFollowers) => {
      if (message.kind === 'following') one.following = message.replicas;
    });
    child.send({ kind: 'task', task } satisfies ToFollowers);
    this.children.push(one);
  }

  async areFollowing(): Promise<void> {
    for (const began = performance.now(); performance.now() - began < FOLLOWING_WITHIN_MS; await sleep(50)) {
      if (this.children.every(({ wanted, following }) => following >= wanted)) return;
      const ended = this.children.find(({ process: { exitCode } }) => exitCode !== null);
      if (ended) throw new Error('a process of followers has ended');
    }
    throw new Error(`not all replicas followed in ${FOLLOWING_WITHIN_MS} ms`);
  }

  /** Waits until every replica has it. */
  async reach(revision: number): Promise<void> {
    await Promise.all(
      this.children.map(async ({ process: child }) => {
        const reached = new Promise<void>((resolve, reject) => {
          child.on('message', (message: FromFollowers) => message.kind === 'reached' && resolve());
          child.once('exit', () => reject(new Error('a process of followers ended')));
        });
        child.send({ kind: 'reach', revision } satisfies ToFollowers);
        await reached;
      }),
    );
  }

  async end(): Promise<FollowersReport[]> {
    return Promise.all(
      this.children.map(async ({ process: child }) => {
        const exited = once(child, 'exit');
        const report = new Promise<FollowersReport>((resolve, reject) => {
          child.on('message', (message: FromFollowers) => message.kind === 'report' && resolve(message.report));
          child.once('exit', () => reject(new Error('a process of followers ended without its report')));
        });
        child.send({ kind: 'end' } satisfies ToFollowers);
        const got = await report;
        await exited;
        return got;
      }),
    );
  }

  kill(): void {
    for (const { process: child } of this.children) child.kill('SIGKILL');
  }
}

/** Milliseconds until each replica had each revision. @throws Error when one has not got all of them */
function latencies(seen: readonly Float64Array[], revisions: ReadonlyMap<number, Written>): Seen {
  const result: Seen = { sent: [], answered: [] };
  for (const pairs of seen) {
    const at = new Map<number, number>();
    for (let i = 0; i < pairs.length; i += 2) at.set(pairs[i] as number, pairs[i + 1] as number);
    for (const [revision, { sent, answered }] of revisions) {
      const had = at.get(revision);
      if (had === undefined) throw new Error(`a replica has not got revision ${revision}`);
      result.sent.push(had - sent);
      result.answered.push(had - answered);
    }
  }
  return result;
}

const most = (all: readonly number[]): number =>
  all.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
const quantiles = (all: readonly number[]): string =>
  `p50 ${quantile(all, 0.5).toFixed(1)} ms, p99 ${quantile(all, 0.99).toFixed(1)} ms, max ${most(all).toFixed(1)} ms`;
const times = ({ answered, sent }: Seen): string =>
  `${quantiles(answered)} from the answer; ${quantiles(sent)} from sending`;

async function measure(master: LoneMaster, calls: MasterCalls, followers: Followers, directory: string): Promise<void> {
  const { replicas, full, rate, seconds } = options;
  await calls.call('POST', '/v1/environments', { id: 'prod', position: 1 });
  await calls.call('POST', '/v1/regions', { id: 'fleet', environment: 'prod' });
  const application = (await calls.call('POST', '/v1/applications', { name: 'bench' })).body.id;
  const floor = await notifyListen(master.databaseUrl, Math.min(replicas, MOST_LISTENERS), rate, seconds);
  await writes(master, calls, application, 2); // what is compiled and cached once
  const without = await writes(master, calls, application);
  const memoryBefore = memoryOf(master.pid);

  const joinToken = (await calls.call('POST', '/v1/join-tokens', { region: 'fleet', maxUses: 1000 })).body.token;
  const { url, storeUrl, publicKey } = master;
  const task = { master: url, joinToken, region: 'fleet', directory, storeUrl, publicKey };
  followers.start({ ...task, light: 0, full });
  for (let left = replicas - full; left > 0; left -= A_PROCESS)
    followers.start({ ...task, light: Math.min(A_PROCESS, left), full: 0 });
  await followers.areFollowing();
  await followers.reach(Math.max(...without.revisions.keys())); // all there was before

  const memoryIdle = memoryOf(master.pid);
  const cpuIdle = cpuTime(master.pid) ?? Number.NaN;
  await sleep(seconds * 500);
  const idleMs = ((cpuTime(master.pid) ?? Number.NaN) - cpuIdle) / (seconds / 2);
  const withAll = await writes(master, calls, application);
  await followers.reach(Math.max(...withAll.revisions.keys()));
  const memoryAfter = memoryOf(master.pid);
  const [ofFull, ...ofLight] = await followers.end();
  if (!ofFull) throw new Error('there is no report');

  const { revisions } = withAll;
  const seenByLight = ofLight.flatMap(({ seen }) => seen);
  const light = latencies(seenByLight, revisions);
  say(
    `a write -> ${replicas - full} light replicas have its revision, ${revisions.size} revisions each: ${times(light)}`,
  );
  if (full > 0)
    say(`a write -> it is on the disk of ${full} full replicas: ${times(latencies(ofFull.seen, revisions))}`);
  const ratio = quantile(light.sent, 0.5) / quantile(floor.sent, 0.5);
  say(
    `  beside it, NOTIFY -> LISTEN on ${Math.min(replicas, MOST_LISTENERS)} connections: ${times(floor)}; ratio of p50 from sending ${ratio.toFixed(1)}`,
  );
  const share = ({ cpuMs, seconds: took }: Cost): string => `${(cpuMs / took / 10).toFixed(0)}% of a core`;
  const each = ((withAll.cpuMs - without.cpuMs) / replicas / revisions.size) * 1000;
  say(
    `CPU of the master: ${share(without)} without replicas, ${share(withAll)} with them; ${each.toFixed(1)} us a replica and revision`,
  );
  say(
    `  while nothing is written: ${(idleMs / 10).toFixed(1)}% of a core, ${(idleMs / replicas).toFixed(2)} ms a replica and second`,
  );
  say(
    `memory of the master: ${mebibytes(memoryBefore)} without replicas, ${mebibytes(memoryIdle)} with them, ${mebibytes(memoryAfter)} after the writes; ${Math.round((memoryIdle - memoryBefore) / replicas)} KiB a replica`,
  );
  const bytes = ofLight.reduce((sum, report) => sum + report.bytes, 0);
  const frames = seenByLight.reduce((sum, { length }) => sum + length / 2, 0);
  say(
    `bytes of a revision on each stream: ${Math.round(bytes / frames)}; ${((rate * withAll.seconds) / revisions.size).toFixed(2)} writes a revision`,
  );
}

const mebibytes = (kibibytes: number): string => `${Math.round(kibibytes / 1024)} MiB`;

const directory = mkdtempSync(join(tmpdir(), 'helio-bench-fleet-'));
const master = await startLoneMaster();
const calls = new MasterCalls(master.url, master.adminToken, 64);
const followers = new Followers();
try {
  say(
    `${machineLine()}, ${await postgresVersion(master.databaseUrl)}; ${options.replicas} replicas, ${options.rate} writes/s, ${options.seconds} s`,
  );
  await measure(master, calls, followers, directory);
} finally {
  followers.kill();
  await calls.close();
  await master.stop();
  rmSync(directory, { recursive: true, force: true });
}
