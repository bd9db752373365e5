import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordingUpstream, type RecordingUpstream, until } from '#harness';
import { type Region, REGIONS, Rig } from './rig.js';

let rig: Rig;
let broken: RecordingUpstream;

beforeAll(async () => {
  rig = await Rig.start();
  broken = await recordingUpstream();
  await rig.publish('weather', { security: 'open', plans: [] });
});
afterAll(async () => {
  await rig?.stop();
  await broken?.close();
});

/** A release whose upstream is another one. */
async function release(url: string, note: string): Promise<string> {
  const definition = {
    routes: [{ method: '*', path: '/*' }],
    upstream: { targets: [{ url }], responseTimeoutMs: note.length * 1000 },
    security: 'open',
    plans: [],
  };
  return (await rig.master.client.post('/v1/apis/weather:v1/releases', { definition })).body.digest;
}

async function promote(digest: string): Promise<string> {
  const { body } = await rig.master.client.post('/v1/promotions', {
    api: 'weather:v1',
    release: digest,
    to: 'prod',
    // how long answers take on a machine that runs other tests, too, says nothing of a release
    strategy: { waves: [['eu-west'], ['us-east']], soak: 1, gates: { minRequests: 30, p95Factor: 1000 } },
  });
  return body.id;
}

const stateOf = async (id: string) => (await rig.master.client.get(`/v1/promotions/${id}`)).body;

/** Requests in both regions, as long as the promotion is open. */
async function withTraffic(id: string): Promise<Awaited<ReturnType<typeof stateOf>>> {
  let open = true;
  const traffic = REGIONS.map(async (region: Region) => {
    while (open) {
      await rig.call(region, '/weather/v1/today');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  const ended = async () => {
    const now = await stateOf(id);
    return ['completed', 'rolled-back', 'rejected'].includes(now.state) && now;
  };
  const end = await until(ended, { what: 'the end of the promotion', within: 90_000, every: 200 }).finally(
    () => (open = false),
  );
  await Promise.all(traffic);
  return end;
}

describe('a promotion under traffic, with real replicas', () => {
  it('P3 P4 is rolled back when the new release answers 500, and no other region has ever seen it', async () => {
    const root = (await rig.master.client.get('/v1/environments/prod/head')).body.root;
    broken.fault = { kind: 'status', status: 500 };
    const end = await withTraffic(await promote(await release(broken.url, 'bad')));
    expect(end).toMatchObject({ state: 'rolled-back', wave: 1, because: { gate: 'errors', regions: ['eu-west'] } });
    expect(end.because.finding.requests).toBeGreaterThanOrEqual(30);
    expect(end.because.finding.share).toBe(1);
    for (const region of REGIONS) {
      await until(async () => (await rig.status(region)).root === root, {
        what: `${region} to serve what it did before`,
      });
      expect((await rig.call(region, '/weather/v1/today')).status).toBe(200);
    }
    // the other region's replica asked for nothing there: all that the broken one got came from eu-west
    expect((await rig.master.client.get('/v1/audit?target=placement/prod/weather:v1/us-east')).body.items).toEqual([]);
  }, 150_000);

  it('P5 is completed when it answers as it should, and every region serves the release that was asked for', async () => {
    const digest = await release(rig.upstream.url, 'good one');
    const id = await promote(digest);
    const end = await withTraffic(id);
    expect([end.state, end.because]).toEqual(['completed', null]);
    for (const region of REGIONS) {
      const { body } = await rig.master.client.get(`/v1/placements/prod/weather:v1/${region}`);
      expect(body.release).toBe(digest);
    }
    expect((await rig.master.client.get('/v1/jobs')).body.items).toEqual([]);
  }, 150_000);

  it('P3 waits for ever when nobody calls it', async () => {
    const id = await promote(await release(rig.upstream.url, 'nobody calls'));
    await until(
      async () =>
        (await stateOf(id)).waitsFor ===
        'weather:v1 has had 0 of 30 requests in this wave, as far as replicas have told (every 5 s)',
      {
        what: 'it to wait for requests',
      },
    );
    await rig.master.client.post(`/v1/promotions/${id}/abort`, { reason: 'a test' });
    await until(async () => (await stateOf(id)).state === 'rolled-back', { what: 'it to be rolled back' });
  }, 60_000);
});
