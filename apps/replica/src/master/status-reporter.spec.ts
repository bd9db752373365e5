import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '#harness';
import type { ReleaseNumbersReport, ReplicaStatus } from '#model';
import { createLog } from '#platform';
import { FakeMaster } from '../testing/fake-master.js';
import { MasterClient } from './master-client.js';
import { StatusReporter } from './status-reporter.js';

let master: FakeMaster;
let stop: AbortController;
let running: Promise<void>;
let revision = 1;
let isNeeded = true;
let counted: ReleaseNumbersReport | undefined;
let reporter: StatusReporter;

beforeEach(async () => {
  master = await FakeMaster.start();
  stop = new AbortController();
  revision = 1;
  counted = undefined;
  const status = () => ({ replica: 'eu-west-1', revision }) as ReplicaStatus;
  reporter = new StatusReporter({
    master: new MasterClient([master.url]),
    token: 'hg_replica_1',
    status,
    numbers: () => counted,
    log: createLog('test', 'silent'),
    isNeeded: () => isNeeded,
  });
  running = reporter.run(stop.signal);
});
afterEach(async () => {
  stop.abort();
  await running;
  await master.stop();
});

describe('StatusReporter', () => {
  it('reports at once, with its token', async () => {
    await until(() => master.heard.length === 1, { what: 'the first report' });
    expect(master.heard[0]).toEqual({
      path: '/v1/replicas/status',
      authorization: 'Bearer hg_replica_1',
      body: { replica: 'eu-west-1', revision: 1 },
    });
  });

  it('reports a change soon, many of them in one report, the newest in any case', async () => {
    await until(() => master.heard.length === 1, { what: 'the first report' });
    for (revision = 2; revision < 500; revision++) reporter.changed();
    await until(() => master.heard.at(-1)?.body.revision === 500, { what: 'the change' });
    expect(master.heard.length).toBeLessThan(4);
  });

  it('is silent while a stream tells the master, and speaks when that has ended', async () => {
    await until(() => master.heard.length === 1, { what: 'the first report' });
    isNeeded = false;
    for (revision = 2; revision < 5; revision++) {
      reporter.changed();
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    isNeeded = true;
    reporter.changed();
    await until(() => master.heard.length >= 2, { what: 'the next report' });
    expect(master.heard[1]?.body.revision).toBe(5);
  });

  it('keeps what was counted until a master has had it, the newest of each release', async () => {
    await until(() => master.heard.length === 1, { what: 'the first report' });
    const of = (...counts: [string, number][]) =>
      ({ boot: 'b', counts: counts.map(([release, requests]) => ({ release, requests })) }) as ReleaseNumbersReport;
    master.answers = [
      { status: 503, body: null },
      { status: 204, body: null },
    ];
    counted = of(['a', 1], ['b', 1]);
    reporter.changed();
    await until(() => master.heard.length === 2, { what: 'the report that failed' });
    counted = of(['a', 5]);
    await until(() => master.heard.length === 3, { what: 'another report' });
    expect(master.heard[2]?.body.numbers.counts).toEqual(of(['a', 5], ['b', 1]).counts);
    counted = undefined;
    reporter.changed();
    await until(() => master.heard.length === 4, { what: 'the next report' });
    expect(master.heard[3]?.body.numbers).toBe(undefined);
  });

  it('goes on after the master has refused or failed, with longer pauses', async () => {
    await until(() => master.heard.length === 1, { what: 'the first report' });
    master.answers = [{ status: 503, body: null }];
    reporter.changed();
    await until(() => master.heard.length >= 2, { what: 'the report that failed' });
    master.answers = [{ status: 204, body: null }];
    await until(() => master.heard.length >= 3, { what: 'another report' });
  });
});
