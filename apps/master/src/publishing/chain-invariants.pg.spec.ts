import fc from 'fast-check';
import { expect, it } from 'vitest';
import { until } from '#harness';
import { sleep } from '#platform';
import { auditChain, entriesOfRows } from '../testing/chain-audit.js';
import type { ChainTx } from '../testing/chain-writer.js';
import { PublishingScene } from '../testing/publishing-scene.js';

const scene = PublishingScene.forEachTest();

/** Enough of them to hit each statement of a round. */
const KILLS = 30;

/** Ends a connection of a master, the leader's where there is one. */
async function killOne(application: string): Promise<void> {
  await scene.pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity a WHERE datname = current_database() AND application_name LIKE $1
     ORDER BY EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted) DESC LIMIT 1`,
    [application],
  );
}

it('R1 revisions are 1..n, none missing and none twice, with 16 writers and three masters whose connections are killed at random', {
  timeout: 270_000,
}, async () => {
  const masters = await Promise.all([1, 2, 3].map((n) => scene.start(scene.store, { instance: `m${n}` })));
  const xids = new Set<string>();
  const published = async (): Promise<number> =>
    (await scene.pool.query<{ epoch: number }>('SELECT max(epoch) AS epoch FROM revision')).rows[0]?.epoch ?? 0;
  let writing = true;
  const killing = (async () => {
    let before = 0; // of the term that was ended last
    for (let kills = 0; kills < KILLS; kills++) {
      // every other one once a later leader has published, however long that takes here, and in the middle of its work
      if (kills % 2 === 0)
        await until(async () => (await published()) > before, { what: 'a revision of a new term', every: 5 });
      await sleep(Math.random() * 100);
      const isBus = kills % 8 === 7; // ends no term
      if (!isBus) before = await published();
      await killOne(isBus ? 'helio-bus' : 'helio-publisher%');
    }
  })().finally(() => {
    writing = false;
  });
  await Promise.all([
    killing,
    ...Array.from({ length: 16 }, async (_, n) => {
      let application = '';
      for (let round = 0; writing; round++) {
        const xid = await scene.writer.write(async (tx) => {
          if (round === 0) application = await tx.application(`app ${n}`);
          await tx.plan('prod', `p${round % 3}`, n * 1000 + round + 1);
          const { chainId } = await tx.key('prod', application);
          if (round % 5 === 4) await tx.revoke('prod', chainId);
        });
        xids.add(xid);
        masters[round % 3]?.publishers.hint(['prod']);
        await sleep(Math.random() * 50);
      }
    }),
  ]);
  await scene.drained();

  const { revisions, entries } = await auditChain(scene.pool);
  expect(entries).toEqual(await entriesOfRows(scene.pool));
  const carried = revisions.flatMap((revision) => revision.xids);
  expect(new Set(carried).size, 'no transaction is carried twice').toBe(carried.length);
  expect(new Set(carried), 'every transaction is carried, for each wrote a new key').toEqual(xids);
  const epochs = revisions.map(({ epoch }) => epoch);
  expect(epochs, 'epochs only rise').toEqual([...epochs].sort((a, b) => a - b));
  expect(new Set(epochs).size, 'the office changed hands between revisions').toBeGreaterThan(5);
  await scene.stored();
});

type Command = (tx: ChainTx, world: World) => Promise<void>;
interface World {
  applications: { id: string; keys: Buffer[] }[];
  releases: { api: string; digest: Buffer }[];
}

const pick = <T>(items: readonly T[], n: number): T | undefined =>
  items.length === 0 ? undefined : items[n % items.length];
const number = fc.nat(1000);

const COMMANDS = fc.oneof(
  fc.tuple(number, number).map(
    ([plan, limit]): Command =>
      (tx) =>
        tx.plan('prod', `p${plan % 3}`, 1 + (limit % 3)),
  ),
  number.map(
    (n): Command =>
      async (tx, world) =>
        void world.applications.push({ id: await tx.application(`app ${n}`), keys: [] }),
  ),
  fc.tuple(number, number).map(
    ([n, plan]): Command =>
      async (tx, world) => {
        const application = pick(world.applications, n);
        await tx.plan('prod', `p${plan % 3}`, 1);
        if (application) await tx.subscribe('prod', application.id, 'a:v1', `p${plan % 3}`);
      },
  ),
  number.map(
    (n): Command =>
      async (tx, world) => {
        const application = pick(world.applications, n);
        if (application) application.keys.push((await tx.key('prod', application.id)).chainId);
      },
  ),
  fc.tuple(number, number).map(
    ([n, k]): Command =>
      async (tx, world) => {
        const key = pick(pick(world.applications, n)?.keys ?? [], k);
        if (key) await tx.revoke('prod', key);
      },
  ),
  number.map(
    (n): Command =>
      async (tx, world) => {
        const [application] = world.applications.splice(n % Math.max(1, world.applications.length), 1);
        if (application) await tx.removeApplication('prod', application.id);
      },
  ),
  fc.tuple(number, number).map(
    ([n, region]): Command =>
      async (tx, world) => {
        const release = pick(world.releases, n);
        if (release) await tx.place('prod', release.api, `r${region % 3}`, region % 5 === 0 ? null : release.digest);
      },
  ),
);

it('R2 whatever is written, at every revision the state root is that of the state, and at the end the state is that of the rows', {
  timeout: 180_000,
}, async () => {
  const apis = [await scene.writer.api('a'), await scene.writer.api('b')];
  const releases = await Promise.all(
    [0, 1, 2, 3, 4, 5].map(async (n) => ({
      api: apis[n % 2] ?? '',
      digest: await scene.writer.release(apis[n % 2] ?? '', { n }),
    })),
  );
  const world: World = { applications: [], releases };
  const master = await scene.start();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(COMMANDS, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 12 }),
      async (transactions) => {
        for (const commands of transactions) {
          await scene.writer.write(async (tx) => {
            for (const command of commands) await command(tx, world);
          });
          master.publishers.hint(['prod']);
        }
        await scene.drained();
        expect((await auditChain(scene.pool)).entries).toEqual(await entriesOfRows(scene.pool));
      },
    ),
    { numRuns: 25, endOnFailure: true },
  );
});
