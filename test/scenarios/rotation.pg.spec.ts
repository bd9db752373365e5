import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  headName,
  newSigningKeyPem,
  signerFromPem,
  snapshotName,
  TrustedKeys,
  verifyHead,
  verifySnapshot,
} from '#artifacts';
import { startMaster, until } from '#harness';
import { type Region, Rig } from './rig.js';

let rig: Rig;

/** `us-east` has no stream: it is told of a master only for joining, and follows the store. */
async function withoutStream(region: Region): Promise<void> {
  await rig.replicas[region].stop();
  rig.replicas[region] = await rig.replicas[region].again({ HELIO_MASTER_URL: 'http://127.0.0.1:9' });
}

beforeAll(async () => {
  rig = await Rig.start();
  await withoutStream('us-east');
});
afterAll(() => rig?.stop());

/** A write, at the replicas that are named. */
async function arrives(id: string, ...regions: Region[]): Promise<string> {
  const { headers } = await rig.master.client.post('/v1/plans', { id });
  const revision = headers.get('heliograph-revision') ?? '';
  await Promise.all(regions.map((region) => rig.reached(region, revision)));
  return revision;
}

interface Key {
  id: string;
  file: string;
}

async function announce(): Promise<Key> {
  const pem = newSigningKeyPem();
  const file = join(mkdtempSync(join(rig.directory, 'key-')), 'signing.pem');
  writeFileSync(file, pem, { mode: 0o600 });
  const { body } = await rig.master.client.post('/v1/signing-keys', { publicKey: signerFromPem(pem).publicKey });
  return { id: body.id, file };
}

/** As operators do it: the same database, store, port and token, with another key. */
async function restartWith({ file }: Key): Promise<void> {
  const { adminToken, url } = rig.master;
  await rig.master.stop();
  rig.master = await startMaster({
    ...rig.masterOptions(),
    adminToken,
    port: Number(new URL(url).port),
    signingKey: file,
  });
}

describe('the signing key of a chain that two regions follow', () => {
  it('R4 R8 is replaced and retired without a region missing a write, one that was away included', async () => {
    await arrives('before', 'eu-west', 'us-east');
    const [old] = (await rig.master.client.get('/v1/signing-keys')).body.items;
    // by store alone, and away from before the announcement until after the retirement
    await rig.replicas['us-east'].stop();

    const key = await announce();
    await arrives('announced', 'eu-west');
    await restartWith(key);
    await arrives('signed-by-the-new-key', 'eu-west');
    await rig.master.client.delete(`/v1/signing-keys/${old.id}?force=true`);
    const last = await arrives('retired', 'eu-west');

    rig.replicas['us-east'] = await rig.replicas['us-east'].again({ HELIO_MASTER_URL: 'http://127.0.0.1:9' });
    await rig.reached('us-east', last);
    await arrives('after', 'eu-west', 'us-east');
    const roots = await Promise.all((['eu-west', 'us-east'] as const).map(async (one) => (await rig.status(one)).root));
    expect(roots[0]).toBe(roots[1]);
  });

  it('leaves a snapshot that whoever joins afterwards can verify, trusting the new key alone', async () => {
    const { items } = (await rig.master.client.get('/v1/signing-keys')).body;
    const { publicKey } = items.find(({ state }: { state: string }) => state === 'signing');
    const trusted = new TrustedKeys([publicKey]);
    const read = (name: string): Buffer => readFileSync(join(rig.storeDirectory, name));
    const head = await until(
      () => {
        const one = verifyHead(read(headName('prod')), 'prod', trusted);
        return one.snapshot !== null && one;
      },
      { what: 'a snapshot', within: 60_000 },
    );
    const name = snapshotName('prod', head.snapshot?.revision ?? 0);
    expect(verifySnapshot(read(name), 'prod', trusted).header.revision).toBe(head.snapshot?.revision);
  });

  it('lets a replica join that has nothing, and trusts the new key alone', async () => {
    await rig.replicas['us-east'].stop();
    rmSync(join(rig.directory, 'us-east'), { recursive: true });
    await rig.startReplica('us-east');
    await arrives('joined-afterwards', 'eu-west', 'us-east');
    await withoutStream('us-east');
  });

  it('is replaced while a region follows by the store alone', async () => {
    const [old] = (await rig.master.client.get('/v1/signing-keys')).body.items.filter(
      ({ state }: { state: string }) => state === 'signing',
    );
    const key = await announce();
    await arrives('announced-again', 'eu-west', 'us-east');
    await restartWith(key);
    await arrives('signed-by-the-third-key', 'eu-west', 'us-east');
    await rig.master.client.delete(`/v1/signing-keys/${old.id}?force=true`);
    await arrives('the-second-key-retired', 'eu-west', 'us-east');
  });
});
