/**
 *   node dist/bench/throttle/decider.js <rounds>
 */
import { LeaseBook, LocalCounterStore, systemClock } from '#throttle';
import { Decider, withKey } from '../../apps/replica/src/testing/decider.js';
import { planOp } from '../../apps/replica/src/testing/sample-ops.js';
import type { Decisions } from './decisions.js';
import { AMPLE } from './limits.js';

const rounds = Number(process.argv[2]);
const EACH = 2000;
const BATCHES = 40;

interface Subject {
  decider: Decider;
  leases: LeaseBook;
}

const subjects = Object.entries(AMPLE).map(([plan, limits]): [string, Subject] => {
  const decider = new Decider();
  decider.load({}, planOp('gold', limits));
  const leases = new LeaseBook(new LocalCounterStore(systemClock), systemClock.monotonicMs);
  return [plan, { decider, leases }];
});
const headers = withKey();

/** Nanoseconds of CPU for each of `EACH` decisions and what they have fetched; what is not forwarded is decided again. */
async function batch({ decider, leases }: Subject): Promise<number> {
  const before = process.cpuUsage();
  for (let left = EACH; left > 0; ) {
    const decision = decider.run('GET', '/weather/v1/today', headers, leases);
    if (decision.kind === 'wait') await decision.fetch();
    else if (decision.kind === 'forward') left -= 1;
    else throw new Error(`it was answered ${decision.status}`);
  }
  const { user, system } = process.cpuUsage(before);
  return (1000 * (user + system)) / EACH;
}

const result: Decisions = Object.fromEntries(subjects.map(([plan]) => [plan, []]));
for (let round = -1; round < rounds; round++) {
  const sums = subjects.map(() => 0);
  // in turns of few milliseconds, so that what the machine does meets all of them alike
  for (let i = 0; i < BATCHES; i++)
    for (const [index, [, subject]] of subjects.entries()) sums[index] = (sums[index] ?? 0) + (await batch(subject));
  for (const { leases } of subjects.map(([, subject]) => subject)) leases.sweep();
  // the first round is for the compiler
  if (round >= 0) for (const [index, [plan]] of subjects.entries()) result[plan]?.push((sums[index] ?? 0) / BATCHES);
}
process.stdout.write(JSON.stringify(result));
