import { renameSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { type Consumer, REGIONS, Rig } from './rig.js';

let rig: Rig;
let consumer: Consumer;

beforeAll(async () => {
  rig = await Rig.start();
  consumer = await rig.consumer(await rig.publish('weather'));
  await rig.everywhere(consumer.revision);
});
afterAll(() => rig?.stop());

describe('two regions of one environment', () => {
  it('serve the same API, each by itself, and the upstream sees no key', async () => {
    for (const region of REGIONS)
      expect((await rig.call(region, '/weather/v1/today?city=Oslo', consumer.secret)).status).toBe(200);
    const seen = rig.upstream.requests.filter((request) => request.url === '/today?city=Oslo');
    expect(seen).toHaveLength(2);
    expect(JSON.stringify(seen)).not.toContain(consumer.secret);
  });

  it('R2 have the state root of the master at the same revision', async () => {
    const { body: head } = await rig.master.client.get('/v1/environments/prod/head');
    await rig.everywhere(`prod@${head.revision}`);
    for (const region of REGIONS) {
      const status = await rig.status(region);
      expect([status.revision, status.root]).toEqual([head.revision, head.root]);
    }
  });

  it('report to the master how far they are', async () => {
    await until(
      async () => {
        const { body } = await rig.master.client.get('/v1/replicas');
        return body.items.length === 2 && body.items.every((item: { behind: number | null }) => item.behind === 0);
      },
      { what: 'both replicas to be reported up to date' },
    );
  });

  it('R9 refuse a revoked key, and still after the replica was started again', async () => {
    const other = await rig.consumer('weather:v1');
    await rig.everywhere(other.revision);
    expect((await rig.call('us-east', '/weather/v1/today', other.secret)).status).toBe(200);
    const { headers } = await rig.master.client.post(
      `/v1/applications/${other.application}/keys/${other.keyId}/revoke`,
      { reason: 'leaked' },
    );
    await rig.everywhere(headers.get('heliograph-revision') ?? '');
    for (const region of REGIONS)
      expect((await rig.call(region, '/weather/v1/today', other.secret)).code).toBe('credential_revoked');
    rig.replicas['us-east'].kill('SIGKILL');
    await rig.replicas['us-east'].exited;
    await rig.restartReplica('us-east');
    expect((await rig.call('us-east', '/weather/v1/today', other.secret)).code).toBe('credential_revoked');
    expect((await rig.call('us-east', '/weather/v1/today', consumer.secret)).status).toBe(200);
  });

  it('R7 go on when the master is killed, and when a replica starts with master and store gone', async () => {
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    for (const region of REGIONS)
      expect((await rig.call(region, '/weather/v1/today', consumer.secret)).status).toBe(200);
    renameSync(rig.storeDirectory, `${rig.storeDirectory}-away`);
    await rig.replicas['eu-west'].stop();
    await rig.restartReplica('eu-west');
    expect((await rig.call('eu-west', '/weather/v1/today', consumer.secret)).status).toBe(200);
    expect((await rig.call('eu-west', '/weather/v1/today', 'hg_live_unknown')).code).toBe('credential_unknown');
    await until(async () => (await rig.status('eu-west')).state === 'isolated', {
      what: 'the replica to say that it is isolated',
    });
    expect(['store_unreachable', 'master_unreachable']).toContain((await rig.status('eu-west')).lastError.code);
  });

  it('R8 catch up by themselves when both are back', async () => {
    renameSync(`${rig.storeDirectory}-away`, rig.storeDirectory);
    await rig.restartMaster();
    const late = await rig.consumer('weather:v1');
    await rig.everywhere(late.revision);
    for (const region of REGIONS) expect((await rig.call(region, '/weather/v1/today', late.secret)).status).toBe(200);
    await until(async () => (await rig.status('eu-west')).lastError === null, {
      within: 90_000,
      what: 'the replica to find nothing wrong any more',
    });
  });
});
