import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePorts, type Master, until } from '#harness';
import { type Consumer, REGIONS, type Region, Rig } from './rig.js';

let rig: Rig;
let consumer: Consumer;
let second: Master | null = null;

beforeAll(async () => {
  rig = await Rig.start();
  consumer = await rig.consumer(await rig.publish('weather'));
  await rig.everywhere(consumer.revision);
});
afterAll(async () => {
  await second?.stop();
  await rig?.stop();
});

const isIn = (region: Region, state: string): Promise<unknown> =>
  until(async () => (await rig.status(region)).state === state, {
    within: 60_000,
    what: `${region} to be ${state}`,
  });
/** `live stream well` */
const standing = async (region: Region): Promise<string> => {
  const { lastError, source, state } = await rig.status(region);
  return `${state} ${source} ${lastError?.code ?? 'well'}`;
};
const works = async (region: Region, key: string): Promise<number> =>
  (await rig.call(region, '/weather/v1/today', key)).status;

describe('replicas that follow the stream of a master', () => {
  it('are live, and have every write with nobody asking the store', async () => {
    for (const region of REGIONS) await isIn(region, 'live');
    const late = await rig.consumer('weather:v1');
    await rig.everywhere(late.revision);
    for (const region of REGIONS) {
      expect(await works(region, late.secret)).toBe(200);
      await until(async () => (await standing(region)) === 'live stream well', {
        what: `${region} to be live and well`,
      });
    }
  });

  it('R2 have the state root of the master, and the master knows that they have', async () => {
    const { body: head } = await rig.master.client.get('/v1/environments/prod/head');
    await rig.everywhere(`prod@${head.revision}`);
    for (const region of REGIONS) expect((await rig.status(region)).root).toBe(head.root);
    await until(
      async () => {
        const { body } = await rig.master.client.get('/v1/replicas');
        return body.items.length === 2 && body.items.every((item: { behind: number | null }) => item.behind === 0);
      },
      { what: 'both replicas to be known up to date' },
    );
  });

  it('R8 poll the store when the master was killed, and are live again when it is back', async () => {
    const before = await rig.consumer('weather:v1');
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    for (const region of REGIONS) await isIn(region, 'polling');
    for (const region of REGIONS) expect(await works(region, consumer.secret)).toBe(200);
    await rig.restartMaster();
    for (const region of REGIONS) await isIn(region, 'live');
    await rig.everywhere(before.revision);
    const late = await rig.consumer('weather:v1');
    await rig.everywhere(late.revision);
    for (const region of REGIONS) expect(await works(region, late.secret)).toBe(200);
  });

  it('R9 refuse a revoked key, and a replica that was killed comes back to the stream and still does', async () => {
    const other = await rig.consumer('weather:v1');
    await rig.everywhere(other.revision);
    rig.replicas['us-east'].kill('SIGKILL');
    await rig.replicas['us-east'].exited;
    const { headers } = await rig.master.client.post(
      `/v1/applications/${other.application}/keys/${other.keyId}/revoke`,
      { reason: 'leaked' },
    );
    await rig.restartReplica('us-east');
    await rig.everywhere(headers.get('heliograph-revision') ?? '');
    for (const region of REGIONS)
      expect((await rig.call(region, '/weather/v1/today', other.secret)).code).toBe('credential_revoked');
    await isIn('us-east', 'live');
  });

  it('go over to another instance of the master when theirs is killed, and back', async () => {
    const [port = 0] = await freePorts(1);
    second = await rig.master.beside(port);
    const both = { HELIO_MASTER_URL: `${rig.master.url},${second.url}` };
    for (const region of REGIONS) {
      await rig.replicas[region].stop();
      rig.replicas[region] = await rig.replicas[region].again(both);
      await isIn(region, 'live');
    }
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    const first = rig.master;
    rig.master = second;
    const late = await rig.consumer('weather:v1');
    await rig.everywhere(late.revision);
    for (const region of REGIONS) {
      await isIn(region, 'live');
      expect(await works(region, late.secret)).toBe(200);
    }
    rig.master = await first.again();
  });
});

it('a region with peers alone follows another region, and says where its chain comes from', async () => {
  const { admin } = rig.replicas['eu-west'];
  await rig.replicas['us-east'].stop();
  const alone = { HELIO_MASTER_URL: 'http://127.0.0.1:9', ARTIFACT_STORE: 'file:///nowhere', HELIO_PEERS: admin };
  rig.replicas['us-east'] = await rig.replicas['us-east'].again(alone);
  const late = await rig.consumer('weather:v1');
  await rig.everywhere(late.revision);
  expect(await works('us-east', late.secret)).toBe(200);
  expect((await rig.status('us-east')).source).toBe('peer');
});
