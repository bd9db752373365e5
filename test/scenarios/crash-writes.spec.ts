import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UnexpectedAnswer, until } from '#harness';
import { REGIONS, Rig } from './rig.js';

const WRITES = 5000;
const CLIENTS = 50;
const KILLS = 4;

let rig: Rig;

beforeAll(async () => {
  rig = await Rig.start();
  await rig.publish('weather');
});
afterAll(() => rig?.stop());

describe('a master that is killed at random while 5,000 keys are issued', () => {
  it('R1 R8 leaves no gap in the chain, and every write that was answered arrives everywhere', async () => {
    const applications = await Promise.all(
      Array.from({ length: CLIENTS }, async () => (await rig.consumer('weather:v1')).application),
    );
    const secrets: string[] = [];
    let open = WRITES;
    let failures = 0;
    const client = async (application: string): Promise<void> => {
      while (open > 0) {
        open -= 1;
        try {
          const { body } = await rig.master.client.post(`/v1/applications/${application}/keys`, {
            environment: 'prod',
          });
          secrets.push(body.secret);
        } catch (error) {
          // gone in mid-flight, or not there: such a write may or may not have happened, and is not counted
          if (error instanceof UnexpectedAnswer && error.answer.status < 500) throw error;
          failures += 1;
          open += 1;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    };
    const writing = Promise.all(applications.map(client));
    for (let kill = 0; kill < KILLS; kill++) {
      const goal = Math.floor((WRITES / (KILLS + 1)) * (kill + Math.random()));
      while (WRITES - open < goal) await new Promise((resolve) => setTimeout(resolve, 5));
      rig.master.kill('SIGKILL');
      await rig.master.exited;
      await rig.restartMaster();
    }
    await writing;
    expect(failures).toBeGreaterThan(0);
    expect(secrets).toHaveLength(WRITES);

    const last = await rig.consumer('weather:v1');
    await rig.everywhere(last.revision);
    const { body: head } = await rig.master.client.get('/v1/environments/prod/head');
    const revisions = await rig.master.client.all('/v1/environments/prod/revisions?limit=200');
    expect(revisions.map((item: { revision: number }) => item.revision).sort((a: number, b: number) => a - b)).toEqual(
      Array.from({ length: head.revision }, (_, i) => i + 1),
    );
    for (const region of REGIONS) {
      expect(await invalidAmong(rig.replicas[region].admin, secrets)).toEqual([]);
      // nobody writes any more: master and replicas stand at the same revision
      const status = await until(
        async () => {
          const now = await rig.status(region);
          return now.revision === head.revision && now.lastError === null && now;
        },
        { what: `${region} to stand at revision ${head.revision}, with nothing to complain of`, within: 60_000 },
      );
      expect(status.root).toBe(head.root);
    }
  }, 540_000);
});

/** Asks a replica about keys, a thousand at a time. @returns the answers for those that it refuses */
async function invalidAmong(admin: string, secrets: readonly string[]): Promise<unknown[]> {
  const refused: unknown[] = [];
  for (let at = 0; at < secrets.length; at += 1000) {
    const items = secrets.slice(at, at + 1000).map((key) => ({ method: 'GET', path: '/weather/v1/today', key }));
    const response = await fetch(`${admin}/validate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ items }),
    });
    const body = (await response.json()) as { items: { valid: boolean }[] };
    expect(body.items).toHaveLength(items.length);
    refused.push(...body.items.filter((item) => !item.valid));
  }
  return refused;
}
