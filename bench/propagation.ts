import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { postgresVersion } from './bare-rows.js';
import { type LoneMaster, MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine, quantile } from './machine.js';
import { numbersFrom, say } from './options.js';
import { paced, type Seen } from './paced.js';
import { etcdWatch, notifyListen } from './references.js';
import { API_PATH, prepareProd, type Region, Regions } from './regions.js';

const options = numbersFrom(
  `
Keys are issued through REST at a steady rate, and each is used at once at one replica's gateway, in turns, until that
answers 200: from sending the write, and from its answer, until then. By the stream; through the store alone (replicas that know
no master and look every 2 s); and beside them, at the same rate in the same run, etcd put -> watch and a row with NOTIFY in
PostgreSQL -> LISTEN. Everything on this machine: replicas, master, databases and clients share its cores. A key that does not
work yet is asked for again after 1 ms, or a quarter of the time that has passed if that is more: so a figure is too high by
a quarter at the most, and asking costs little of what is measured.`,
  { replicas: 10, rate: 100, seconds: 20 },
);
const GIVE_UP_MS = 30_000;

const time = (ms: number): string => (Math.abs(ms) < 100 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en'));
const quantiles = (all: readonly number[]): string =>
  `p50 ${time(quantile(all, 0.5))} ms, p99 ${time(quantile(all, 0.99))} ms, max ${time(Math.max(...all))} ms`;

/** @param reference p50 from sending, of what this is compared with */
function report(name: string, { sent, answered }: Seen, reference: number | null): void {
  const p50 = quantile(sent, 0.5);
  const ratio = reference === null ? '' : `; ${(p50 / reference).toFixed(1)} x PostgreSQL's p50`;
  say(`${name} (n = ${sent.length})`);
  say(`  from the answer to the write: ${quantiles(answered)}`);
  say(`  from sending the write:       ${quantiles(sent)}${ratio}`);
}

/** Of the time that has passed: until the next question. */
const ASK_SHARE = 0.25;

/**
 * @param every only each so many'th write is followed
 * @param askMs the shortest pause between two questions
 */
async function keysWork(
  calls: MasterCalls,
  application: string,
  regions: readonly Region[],
  every: number,
  askMs: number,
): Promise<Seen> {
  const gateways = regions.map(({ gateway }) => new Pool(gateway, { connections: 64 }));
  const works = async (gateway: Pool, key: string): Promise<number> => {
    const since = performance.now();
    for (;;) {
      const { statusCode, body } = await gateway.request({
        method: 'GET',
        path: API_PATH,
        headers: { 'x-api-key': key },
      });
      await body.dump();
      if (statusCode === 200) return performance.now();
      if (performance.now() - since > GIVE_UP_MS)
        throw new Error(`a key did not work after ${GIVE_UP_MS} ms: ${statusCode}`);
      await sleep(Math.max(askMs, ASK_SHARE * (performance.now() - since)));
    }
  };
  try {
    return await paced(options.rate, options.seconds, async (number) => {
      const { body } = await calls.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
      const answered = performance.now();
      if (number % every !== 0) return null;
      return { answered, seen: works(gateways[(number / every) % gateways.length] as Pool, body.secret) };
    });
  } finally {
    await Promise.all(gateways.map((gateway) => gateway.close()));
  }
}

async function withRegions(
  master: LoneMaster,
  calls: MasterCalls,
  alone: boolean,
  measure: (all: Region[]) => Promise<Seen>,
): Promise<Seen> {
  const regions = new Regions(master, calls);
  try {
    // two at a time: their starts cost more than anything that they do later
    for (let at = 0; at < options.replicas; at += 2) {
      const names = [at, at + 1].filter((number) => number < options.replicas);
      await Promise.all(names.map((number) => regions.add(`${alone ? 'alone' : 'region'}-${number}`, alone)));
    }
    return await measure(regions.all);
  } finally {
    await regions.stop();
  }
}

const master = await startLoneMaster();
const calls = new MasterCalls(master.url, master.adminToken, 64);
const { replicas, rate, seconds } = options;
try {
  say(
    `${machineLine()}, ${await postgresVersion(master.databaseUrl)}; ${replicas} replicas, ${rate} writes/s, ${seconds} s each`,
  );
  const { application, close } = await prepareProd(calls);
  const floor = await notifyListen(master.databaseUrl, replicas, rate, seconds);
  const reference = quantile(floor.sent, 0.5);
  report(`PostgreSQL, a row and NOTIFY -> LISTEN on ${replicas} connections`, floor, null);
  const etcd = await etcdWatch(replicas, rate, seconds);
  if (etcd) report(`${etcd.name}, put -> watch by ${replicas} watchers`, etcd.seen, reference);
  else say('etcd is not on PATH: not compared with it');
  const stream = await withRegions(master, calls, false, (all) => keysWork(calls, application, all, 1, 1));
  report(
    'a key issued through REST -> works at a gateway, stream (budget from the answer: p50 5 ms, p99 25 ms)',
    stream,
    reference,
  );
  if (etcd)
    say(`  ${(quantile(stream.sent, 0.5) / quantile(etcd.seen.sent, 0.5)).toFixed(1)} x etcd's p50 from sending`);
  const store = await withRegions(master, calls, true, (all) => keysWork(calls, application, all, 10, 10));
  report(
    'the same through the store alone, a look every 2 s (budget from the answer: 2,050 ms, jitter of 10% apart)',
    store,
    reference,
  );
  close();
} finally {
  await calls.close();
  await master.stop();
}
