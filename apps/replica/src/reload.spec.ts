import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { openStore } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { freePorts, type Replica, startReplica, until } from '#harness';
import { placementOp, releaseOp, sampleDefinition } from './testing/sample-ops.js';
import { temporaryDirectory } from './testing/state-fixture.js';

/** answered by the gateway itself, without a key: nothing here is about upstreams and customers */
const release = releaseOp({
  ...sampleDefinition(),
  security: 'open',
  policies: { mock: { status: 200, body: 'served' } },
});
const directories: string[] = [];
let replica: Replica | null = null;

afterEach(async () => {
  await replica?.stop();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function directory(): string {
  const made = temporaryDirectory();
  directories.push(made);
  return made;
}

/** A replica of two workers that has settings in a file. @returns writes the file anew */
async function start(): Promise<(text: string) => void> {
  const config = join(directory(), 'replica.yaml');
  const write = (text: string): void => writeFileSync(config, text);
  write('HELIO_WORKERS: 2\nHELIO_MAX_HEAD_BYTES: 8192\n');
  const store = openStore(pathToFileURL(directory()).href, { create: true });
  const chain = new ChainMaker();
  await chain.publish(store, [release, placementOp('weather:v1', '*', release)]);
  const env = {
    ARTIFACT_STORE: store.description,
    HELIO_TRUSTED_KEYS: chain.signer.publicKey,
    HELIO_CONFIG: config,
    HELIO_WORKERS: '', // of the file
  };
  const [gateway = 0, admin = 0] = await freePorts(2);
  const ports = { gateway, admin };
  replica = await startReplica({ environment: 'prod', region: 'eu-west', stateDir: directory(), ports, env });
  return write;
}

async function call(): Promise<number> {
  const headers = { 'x-long': 'x'.repeat(4000), connection: 'close' };
  const response = await fetch(`${replica?.gateway}/weather/v1/today`, { headers });
  await response.text();
  return response.status;
}

async function workers(): Promise<number[]> {
  const status = (await (await fetch(`${replica?.admin}/status`)).json()) as {
    workers: { pid: number; listening: boolean }[];
  };
  return status.workers.filter(({ listening }) => listening).map(({ pid }) => pid);
}

const said = (text: string, times = 1) =>
  until(() => (replica?.output().split(text).length ?? 0) > times, { what: JSON.stringify(text) });

describe('SIGHUP', () => {
  it('G2 brings new workers with the settings of the file, one time after the other, and no request is lost', async () => {
    const write = await start();
    const before = await workers();
    let done = false;
    const results = new Set<unknown>();
    const client = async (): Promise<void> => {
      while (!done) results.add(await call().catch((error: unknown) => (error as Error).cause));
    };
    const clients = [client(), client()];
    write('HELIO_WORKERS: 1\nHELIO_MAX_HEAD_BYTES: 16384\n');
    replica?.kill('SIGHUP');
    await until(async () => !isDeepStrictEqual(await workers(), before), { what: 'new workers', every: 5 });
    replica?.kill('SIGHUP'); // while the old ones end
    await said('new gateway workers serve', 2);
    done = true;
    await Promise.all(clients);
    expect([...results]).toEqual([200]);
    const now = await workers();
    expect(now).toHaveLength(1);
    expect(before).not.toContain(now[0]);
    write('HELIO_WORKERS: 1\nHELIO_MAX_HEAD_BYTES: 2048\n');
    replica?.kill('SIGHUP');
    await until(async () => (await call()) === 431, { what: 'the new limit' });
  });

  it('names the settings that were taken, and those that take a restart, without their values', async () => {
    const write = await start();
    const s3 = 'S3_SECRET_KEY: hush-hush\nS3_ACCESS_KEY: a\nS3_ENDPOINT: http://127.0.0.1:1\n';
    write(`HELIO_WORKERS: 1\nHELIO_MAX_HEAD_BYTES: 8192\n${s3}`);
    replica?.kill('SIGHUP');
    await said('new gateway workers serve');
    const output = replica?.output() ?? '';
    expect(output).toContain('"changed":["HELIO_WORKERS"]');
    expect(output).toContain('"settings":["S3_ENDPOINT","S3_ACCESS_KEY","S3_SECRET_KEY"],');
    expect(output).toContain('they take a restart');
    expect(output).not.toContain('hush-hush');
    write('HELIO_WORKERS: 1\nHELIO_MAX_HEAD_BYTES: 8192\n');
    replica?.kill('SIGHUP');
    await said('new gateway workers serve', 2);
    expect(replica?.output().split('they take a restart')).toHaveLength(2); // it is as at the start again
  });

  it('changes nothing when the settings have faults, and says which', async () => {
    const write = await start();
    const before = await workers();
    write('HELIO_WORKERS: none\n');
    replica?.kill('SIGHUP');
    await said('HELIO_WORKERS');
    expect(replica?.output()).toMatch(/"HELIO_WORKERS","problem":"must be a whole number from 1 to 256"/);
    expect([await call(), await workers()]).toEqual([200, before]);
  });
});
