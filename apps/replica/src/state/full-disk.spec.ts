import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { newSigningKeyPem, signerFromPem } from '#artifacts';
import { smallDisk } from '#artifacts/testing';
import { build, freePorts } from '#harness';
import { temporaryDirectory } from '../testing/state-fixture.js';

const MAIN = fileURLToPath(new URL('../../../../dist/apps/replica/src/main.js', import.meta.url));

beforeAll(() => build());

it('a disk without a free byte is told to who starts a new replica on it, with the setting, and not by a signal', async (context) => {
  const [directory, store] = [smallDisk(context, '4m'), temporaryDirectory()];
  onTestFinished(() => rmSync(store, { recursive: true }));
  expect(() => writeFileSync(join(directory, 'others'), Buffer.alloc(5 * 1024 * 1024))).toThrow('ENOSPC');
  const [port, admin] = await freePorts(2);
  const env = {
    PATH: process.env['PATH'],
    HELIO_ENVIRONMENT: 'prod',
    HELIO_REGION: 'eu-west',
    HELIO_REPLICA: 'eu-west-1',
    HELIO_BIND: '127.0.0.1',
    HELIO_WORKERS: '1',
    HELIO_STATE_DIR: directory,
    HELIO_TRUSTED_KEYS: signerFromPem(newSigningKeyPem()).publicKey,
    ARTIFACT_STORE: pathToFileURL(store).href,
    GATEWAY_PORT: `${port}`,
    ADMIN_PORT: `${admin}`,
  };
  const started = promisify(execFile)(process.execPath, [MAIN], { env, timeout: 120_000 });
  await expect(started).rejects.toMatchObject({
    code: 1,
    signal: null,
    stderr: expect.stringContaining(`helio-replica: HELIO_STATE_DIR: no space left in ${directory}`),
  });
});
