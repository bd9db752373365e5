import { setTimeout as sleep } from 'node:timers/promises';
import { makeApis } from './bulk.js';
import { type LocalSystem, Rig } from './local-system.js';
import { MasterCalls } from './lone-master.js';
import { machineLine, quantile } from './machine.js';
import { numbersFrom, say } from './options.js';

const { apis, probes } = numbersFrom(
  `
What one write and one request take before and after many APIs of 20 routes each are placed in both regions of npm start -- --regions eu-west,us-east.`,
  { apis: 2000, probes: 60 },
);
const CLIENTS = 8;
const WITHIN_MS = 60_000;

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

async function servedEverywhere(system: LocalSystem, revision: string): Promise<void> {
  for (const { admin } of system.regions) {
    for (const began = performance.now(); ; await sleep(20)) {
      const response = await fetch(`${admin}/readyz?min=${revision}`);
      await response.arrayBuffer();
      if (response.status === 200) break;
      if (performance.now() - began > WITHIN_MS) throw new Error(`${admin} was not at ${revision} in ${WITHIN_MS} ms`);
    }
  }
}

/** Milliseconds, the median of many. */
async function probe(system: LocalSystem, write: () => Promise<string>): Promise<{ write: number; request: number }> {
  const [writes, requests]: [number[], number[]] = [[], []];
  const headers = { 'x-api-key': system.demo.key };
  for (let i = 0; i < probes; i++) {
    writes.push(await timed(write));
    requests.push(await timed(async () => (await fetch(system.demo.url, { headers })).arrayBuffer()));
  }
  return { write: quantile(writes, 0.5), request: quantile(requests, 0.5) };
}

const rig = new Rig();
try {
  say(machineLine());
  const { system } = await rig.start(['--regions', 'eu-west,us-east']);
  const calls = new MasterCalls(system.master, system.adminToken, CLIENTS);
  const application = (await calls.call('POST', '/v1/applications', { name: 'bench' })).body.id;
  const write = async (): Promise<string> => {
    const { headers } = await calls.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
    return String(headers['heliograph-revision']);
  };
  await probe(system, write); // what is compiled and cached once
  const before = await probe(system, write);
  const began = performance.now();
  const items = await makeApis(calls, apis);
  const madeMs = performance.now() - began;
  const placedMs = await timed(() =>
    calls.call('POST', '/v1/placements', { environment: 'prod', items, reason: 'bench' }),
  );
  const servedMs = await timed(async () => servedEverywhere(system, await write()));
  const after = await probe(system, write);
  const times = [madeMs, placedMs, servedMs].map((ms) => Math.round(ms).toLocaleString('en'));
  say(
    `${apis} APIs of 20 routes: made in ${times[0]} ms, placed in ${times[1]} ms, served in both regions ${times[2]} ms later`,
  );
  for (const what of ['write', 'request'] as const) {
    const [one, other] = [before[what], after[what]];
    say(`  one ${what}: p50 ${one.toFixed(2)} ms before, ${other.toFixed(2)} ms after (x ${(other / one).toFixed(2)})`);
  }
  await calls.close();
} finally {
  await rig.remove();
}
