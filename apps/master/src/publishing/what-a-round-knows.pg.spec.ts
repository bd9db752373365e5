import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { applicationKey, encodeText, TABLE } from '#model';
import { auditChain, entriesOfRows } from '../testing/chain-audit.js';
import { PublishingScene } from '../testing/publishing-scene.js';
import { applicationMark, keyMark, planMark } from './marks.js';

const scene = PublishingScene.forEachTest();

it('an application that has left the chain comes back with its next key', async () => {
  await scene.start();
  const id = randomUUID();
  const issue = (): Promise<string> =>
    scene.writer.write(async (tx) => {
      await tx.client.query(`INSERT INTO application (id, name) VALUES ($1, 'again') ON CONFLICT DO NOTHING`, [id]);
      await tx.key('prod', id);
    });
  const tables = async (): Promise<number[]> => (await scene.revisions()).at(-1)?.ops.map(({ table }) => table) ?? [];
  await issue();
  expect(await tables(), 'it comes along').toEqual([TABLE.application, TABLE.key]);
  await issue();
  expect(await tables(), 'it is known to be there').toEqual([TABLE.key]);
  await scene.writer.write((tx) => tx.removeApplication('prod', id));
  await scene.drained();
  await issue();
  expect(await tables(), 'it is known to be gone').toEqual([TABLE.application, TABLE.key]);
  expect((await auditChain(scene.pool)).entries).toEqual(await entriesOfRows(scene.pool));
});

it('what writes said that they marked is a guess: what waits is published, and nothing else', async () => {
  const master = await scene.start();
  const stranger = keyMark(Buffer.alloc(16, 7));
  for (let limit = 1; limit <= 20; limit++) {
    await scene.writer.write(async (tx) => {
      const application = await tx.application('guessed');
      const { chainId } = await tx.key('prod', application);
      await tx.plan('prod', 'gold', limit);
      // all, too much, too little, or of things that do not exist
      const guesses = [[keyMark(chainId), planMark('gold')], [planMark('gold'), stranger], [stranger], []];
      const guess = guesses[limit % guesses.length] ?? [];
      master.publishers.hint(['prod'], [...guess, ...guess, applicationMark(application)]); // before the commit, too
      if (limit % 3 === 0) return;
      setImmediate(() => master.publishers.hint(['prod'], guess));
    });
    if (limit % 5 === 0) await scene.drained();
  }
  await scene.drained();
  const { entries } = await auditChain(scene.pool);
  expect(entries).toEqual(await entriesOfRows(scene.pool));
  expect(entries.has(`${TABLE.plan}:${encodeText('gold').toString('hex')}`)).toBe(true);
  expect(entries.has(`${stranger.table}:${stranger.key.toString('hex')}`)).toBe(false);
});

it('a guess that cannot be read does no harm to what waits', async () => {
  const master = await scene.start();
  const marked = [
    { table: TABLE.placement, key: Buffer.from([0, 0xff]) },
    { table: TABLE.application, key: Buffer.alloc(3) },
    { table: TABLE.application, key: applicationKey(randomUUID()) },
    { table: TABLE.release, key: Buffer.alloc(32) },
  ];
  await scene.writer.write((tx) => tx.plan('prod', 'gold', 1));
  master.publishers.hint(['prod'], marked);
  expect((await scene.revisions()).at(-1)?.ops).toHaveLength(1);
  expect(master.complaints).toEqual([]);
});
