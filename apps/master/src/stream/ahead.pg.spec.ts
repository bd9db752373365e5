import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeHeader, TrustedKeys } from '#artifacts';
import { copyDatabase, until } from '#harness';
import { good, outcome } from '../testing/answers.js';
import { startApp, type StartedApp, startElsewhere } from '../testing/start-app.js';
import { StreamClient } from '../testing/stream-client.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

interface Scene {
  /** on the database as it was after revision 2, with an empty store; nobody told it that there was more */
  restored: StartedApp;
  token: string;
  trusted: TrustedKeys;
  /** the chain that replicas have: all four */
  chain: { revision: number; epoch: number; hash: Buffer; bytes: Buffer }[];
}

async function wentBack(): Promise<Scene> {
  const first = await startApp();
  opened.push(() => first.stop());
  await good(first.call('POST', '/v1/environments', { id: 'prod', position: 1 }));
  await good(first.call('POST', '/v1/regions', { id: 'eu-west', environment: 'prod' }));
  const { token } = await good(first.call('POST', '/v1/join-tokens', { region: 'eu-west' }));
  const joined = await good(
    first.call('POST', '/v1/replicas/join', { token, region: 'eu-west', environment: 'prod', build: '0.1.0' }),
  );
  await good(first.call('POST', '/v1/plans', { id: 'first' }));
  const backup = await copyDatabase(new URL(first.config.DATABASE_URL).href);
  opened.push(() => backup.drop());
  for (const id of ['second', 'third']) await good(first.call('POST', '/v1/plans', { id }));
  const rows = await first.source.query(
    `SELECT revision::int AS revision, epoch, hash, bytes FROM revision WHERE environment_id = 'prod' ORDER BY revision`,
  );
  const directory = mkdtempSync(join(tmpdir(), 'helio-empty-'));
  opened.push(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  const restored = await startElsewhere(first, backup.url, directory);
  opened.push(() => restored.stop());
  await until(async () => (await standing(restored)).waitsFor, { what: 'it to wait' });
  await restored.source.query(`UPDATE chain SET decision = 'proceed'`);
  await until(async () => (await standing(restored)).state === 'publishing', { what: 'it to proceed' });
  return { restored, token: joined.token, trusted: new TrustedKeys(joined.trustedKeys), chain: rows };
}

const standing = (app: StartedApp) => good(app.call('GET', '/v1/environments/prod/office'));

/** A replica that has the whole chain, and gives what it is asked for. @param spoil changes what it gives */
async function replica({ restored, token, trusted, chain }: Scene, spoil = (bytes: Buffer) => bytes) {
  const client = await StreamClient.connect(restored.url, token, trusted);
  const last = chain.at(-1);
  if (!last) throw new Error('there is no chain');
  client.position = { environment: 'prod', epoch: last.epoch, revision: last.revision, hash: last.hash };
  let asked = 0;
  client.socket.on('message', (data, binary) => {
    const message = binary ? null : JSON.parse((data as Buffer).toString('utf8'));
    if (message?.type !== 'want') return;
    asked++;
    for (const { revision, bytes } of chain)
      if (revision >= message.from && revision <= message.to) client.socket.send(spoil(bytes));
  });
  return { client, asked: () => asked };
}

describe('a replica that is ahead of a master which publishes already', () => {
  it('R10 R3 stops it, and gives back what was forgotten when an operator has it adopted', async () => {
    const scene = await wentBack();
    const { client } = await replica(scene);
    expect(await client.follow()).toMatchObject({ intent: 'full', reason: 'ahead' });
    const fenced = await until(
      async () => {
        const now = await standing(scene.restored);
        return now.state === 'fenced' && now;
      },
      { what: 'it to be fenced off' },
    );
    expect(fenced.fence).toMatchObject({ reason: 'replaced', revision: fenced.revision + 1 });
    expect(fenced.fence.detail).toContain(`the replica ${fenced.fence.replica} has revision ${fenced.fence.revision}`);
    expect(await outcome(scene.restored.call('POST', '/v1/plans', { id: 'fourth' }))).toBe('503 fenced_off');
    await good(scene.restored.call('POST', '/v1/environments/prod/office', { decision: 'adopt' }));
    const adopted = async (): Promise<boolean> => {
      const { state, revision } = await standing(scene.restored);
      return state === 'publishing' && revision >= scene.chain.length;
    };
    await until(
      async () => {
        const { client: back } = await replica(scene); // refused until the decision is carried out
        await back.follow();
        await until(async () => back.closed !== null || (await adopted()), { what: 'it to be asked' });
        await back.end();
        return adopted();
      },
      { what: 'what was forgotten to be taken over' },
    );
    const { client: again } = await replica(scene);
    expect((await again.follow()).intent).not.toBe('full');
    const answer = await scene.restored.call('POST', '/v1/plans', { id: 'fourth' });
    await again.reaches(Number(/prod@(\d+)/.exec(answer.headers.get('heliograph-revision') ?? '')?.[1]));
    const rows: { bytes: Buffer }[] = await scene.restored.source.query('SELECT bytes FROM revision ORDER BY revision');
    scene.chain.forEach(({ bytes }, index) => expect(rows[index]?.bytes.equals(bytes)).toBe(true));
    await again.end();
  });

  it('R4 changes nothing with what does not verify', async () => {
    const scene = await wentBack();
    const { client, asked } = await replica(scene, (bytes) => {
      const spoilt = Buffer.from(bytes);
      const at = decodeHeader(bytes).length - 1; // in the signature
      spoilt.writeUInt8(spoilt.readUInt8(at) ^ 1, at);
      return spoilt;
    });
    expect(await client.follow()).toMatchObject({ intent: 'full', reason: 'ahead' });
    await until(() => asked() > 0, { what: 'the master to ask' });
    const { epoch } = await standing(scene.restored);
    await good(scene.restored.call('POST', '/v1/plans', { id: 'fourth' }));
    const after = await standing(scene.restored);
    expect(after).toMatchObject({ state: 'publishing', epoch });
    expect(client.closed).toBeNull();
    await client.end();
  });
});
