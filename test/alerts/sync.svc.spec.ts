import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type ArtifactStore, deltaName, openStore, type SealedRevision } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { describeWith, freePorts, type Replica, startReplica } from '#harness';
import { definitionOf, keyOp, placed } from '../../apps/replica/src/testing/gateway-ops.js';
import { gone, placementOp, planOp, releaseOp, sampleDefinition } from '../../apps/replica/src/testing/sample-ops.js';
import { AlertWatch, dashboardQueries, TEST_MS } from './alert-watch.js';

vi.setConfig({ testTimeout: TEST_MS });

/** Below the time after which a head is old, with a lot of room. */
const SIGN_EVERY_MS = 5_000;

const directory = mkdtempSync(join(tmpdir(), 'helio-alerts-'));
let ports: { gateway: number; admin: number };
let chain: ChainMaker;
let store: ArtifactStore;
let storeDirectory: string;
let replica: Replica;
let watch: AlertWatch;
let labels: { instance: string };
let signs: NodeJS.Timeout | undefined;
let signed: Promise<unknown> = Promise.resolve();

/** A head of the newest revision, one after the other: each has to be younger than the one before. */
function sign(fields: Parameters<ChainMaker['head']>[0] = {}): Promise<unknown> {
  signed = signed.then(() => chain.putHead(store, chain.head(fields)));
  return signed;
}

/** Heads are signed now and then, as a master does. */
function goOnSigning(): void {
  signs = setInterval(() => void sign(), SIGN_EVERY_MS);
}

/** Whole from one moment to the next is not needed: no head names it yet, or what is there is refused anyway. */
function put({ header }: SealedRevision, bytes: Buffer): void {
  const path = join(storeDirectory, deltaName('prod', header.revision));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

async function publish(ops: Parameters<ChainMaker['seal']>[0]): Promise<void> {
  const sealed = chain.seal(ops);
  put(sealed, sealed.bytes);
  await sign();
}

/** A replica with an empty disk that knows a chain of its own, from a store in which nothing is yet, and no master. */
async function startAnew(name: string): Promise<void> {
  chain = new ChainMaker();
  storeDirectory = join(directory, `${name}-store`);
  mkdirSync(storeDirectory);
  store = openStore(`file://${storeDirectory}`, { create: true });
  replica = await startReplica({
    environment: 'prod',
    region: 'eu-north',
    stateDir: join(directory, name),
    ports,
    env: { ARTIFACT_STORE: `file://${storeDirectory}`, HELIO_TRUSTED_KEYS: chain.signer.publicKey },
    until: 'listening',
  });
}

const good = releaseOp(definitionOf());
const bad = releaseOp({ ...sampleDefinition(), fromTheFuture: true });

describeWith('prometheus', 'alerts about what a replica follows', () => {
  beforeAll(async () => {
    const [gateway = 0, admin = 0] = await freePorts(2);
    ports = { gateway, admin };
    await startAnew('first');
    watch = await AlertWatch.start({ 'heliograph-replica': [replica.admin] });
    labels = { instance: new URL(replica.admin).host };
  });
  afterAll(async () => {
    clearInterval(signs);
    await signed.catch(() => undefined);
    await watch?.stop();
    await replica?.stop();
    await store?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('HeliographNothingToServe: a replica that has nothing yet refuses requests, until it has', async () => {
    const calls = setInterval(() => void fetch(`${replica.gateway}/weather/v1/today`).catch(() => undefined), 500);
    try {
      await watch.firesAndClears(
        'HeliographNothingToServe',
        { region: 'eu-north' },
        () => undefined,
        () => publish([planOp('gold'), ...placed(definitionOf())]),
      );
    } finally {
      clearInterval(calls);
    }
    goOnSigning();
  });

  it('HeliographEntriesRefused: a release from the future, until another one is placed', async () => {
    const { annotations } = await watch.firesAndClears(
      'HeliographEntriesRefused',
      labels,
      () => publish([bad, placementOp('weather:v1', '*', bad)]),
      () => publish([gone(bad), placementOp('weather:v1', '*', good)]),
    );
    expect(annotations['summary']).toContain('cannot use 2 entries');
  });

  it('HeliographArtifactsRefused and HeliographReplicaBehind: a revision with a flipped byte, until it is right', async () => {
    let sealed: SealedRevision;
    const [refused, behind] = await Promise.all([
      watch.firesAndClears(
        'HeliographArtifactsRefused',
        { ...labels, code: 'bad_hash' },
        () => {
          sealed = chain.seal([keyOp('x')]);
          const bytes = Buffer.from(sealed.bytes);
          bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
          put(sealed, bytes);
          return sign();
        },
        () => watch.fires('HeliographReplicaBehind', labels).then(() => put(sealed, sealed.bytes)),
      ),
      watch.firesAndClears(
        'HeliographReplicaBehind',
        labels,
        () => undefined,
        () => undefined,
      ),
    ]);
    expect(refused.annotations['summary']).toContain('bad_hash');
    expect(behind.annotations['summary']).toContain('lacks 1 revisions');
    const panel = dashboardQueries().find(({ query }) => query.includes('refused_artifacts'));
    expect(await watch.series(panel?.query ?? '')).toBeGreaterThan(0);
  });

  it('HeliographSyncStopped: nobody signs heads any more, until somebody does', async () => {
    await watch.firesAndClears(
      'HeliographSyncStopped',
      { region: 'eu-north' },
      () => {
        clearInterval(signs);
        return sign({ expiresAt: Date.now() + 1_000 });
      },
      () => {
        goOnSigning();
        return sign();
      },
    );
  });

  it('HeliographReplicaHalted: a revision that needs a newer build, until there is a replica that can read it', async () => {
    await watch.firesAndClears(
      'HeliographReplicaHalted',
      labels,
      () => {
        const sealed = chain.seal([keyOp('y')], Date.now(), { minReader: 99 });
        put(sealed, sealed.bytes);
        return sign();
      },
      async () => {
        clearInterval(signs);
        await signed;
        await replica.stop();
        await store.close();
        await startAnew('second'); // there is no newer build here: it follows a chain that this one can read
        await publish([planOp('gold')]);
      },
    );
  });
});
