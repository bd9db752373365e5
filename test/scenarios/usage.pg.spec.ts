import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { Rig } from './rig.js';

let rig: Rig;
let key: string;
/** requests that were admitted, and that have been told to process 1: workers do so every 5 s */
let admitted = 0;

beforeAll(async () => {
  rig = await Rig.start();
  const api = await rig.publish('weather');
  const consumer = await rig.consumer(api);
  key = consumer.secret;
  await rig.everywhere(consumer.revision);
});
afterAll(() => rig.stop());

async function call(region: 'eu-west' | 'us-east', times: number): Promise<void> {
  for (let i = 0; i < times; i++) expect((await rig.call(region, '/weather/v1/x', key)).status).toBe(200);
  admitted += times;
}

async function known(query = ''): Promise<number> {
  const { body } = await rig.master.client.get(`/v1/usage?${query}`);
  return body.items.reduce((sum: number, row: { admitted: number }) => sum + row.admitted, 0);
}

const comes = (what: string): Promise<unknown> =>
  until(async () => (await known()) === admitted, { within: 60_000, what: `${what}: ${admitted} requests` });

describe('usage', () => {
  it('T5 comes to the master whole: after both were killed, and from who cannot reach it meanwhile', async () => {
    await call('eu-west', 7);
    await call('us-east', 5);
    await comes('both regions');
    expect(await known('region=us-east')).toBe(5);

    rig.master.kill('SIGKILL');
    await call('eu-west', 11);
    // ended in order: what its workers have counted is on its disk, and nobody else has it
    await rig.replicas['eu-west'].stop();
    await call('us-east', 2);
    await rig.restartMaster();
    await rig.restartReplica('eu-west');
    await call('eu-west', 3);
    await comes('what was counted without a master');

    rig.replicas['eu-west'].kill('SIGKILL');
    await rig.replicas['eu-west'].stop();
    await rig.restartReplica('eu-west');
    await call('eu-west', 1);
    await comes('after a replica was killed');
    expect(await known('region=us-east')).toBe(7);
  });

  it('says in which hour a key was used last', async () => {
    const { body } = await rig.master.client.get('/v1/usage?groupBy=application');
    const { body: keys } = await rig.master.client.get(`/v1/applications/${body.items[0].application}/keys`);
    expect(Date.now() - Date.parse(keys.items[0].lastUsedAt)).toBeLessThan(2 * 3_600_000);
  });
});
