import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { deltaName, headName } from '#artifacts';
import { startReplica, until } from '#harness';
import { type Consumer, Rig } from './rig.js';

/*
 * The replica of us-east reads from a copy of the store that the test keeps, so that the publisher does not mend what is
 * damaged on purpose.
 */
let rig: Rig;
let consumer: Consumer;
let copy: string;

const pathOf = (name: string): string => join(copy, name);
const read = (name: string): Buffer => readFileSync(join(rig.storeDirectory, name));

/** Whole from one moment to the next: the replica looks all the time, and must not see half of a file. */
function put(name: string, bytes: Buffer | string): void {
  mkdirSync(dirname(pathOf(name)), { recursive: true });
  writeFileSync(`${copy}.new`, bytes);
  renameSync(`${copy}.new`, pathOf(name));
}

/** Copies the store, the head last: what is spoilt (null: left out) is so before anything names it. */
function sync(spoilt: Record<string, Buffer | null> = {}): void {
  const head = read(headName('prod'));
  const base = rig.storeDirectory;
  for (const entry of readdirSync(join(base, 'prod'), { recursive: true, withFileTypes: true })) {
    const name = relative(base, join(entry.parentPath, entry.name));
    if (!entry.isFile() || name === headName('prod')) continue;
    const bytes = name in spoilt ? spoilt[name] : read(name);
    if (bytes) put(name, bytes);
  }
  put(headName('prod'), head);
}

const headIn = (directory: string): { revision: number } =>
  JSON.parse(readFileSync(join(directory, headName('prod')), 'utf8'));

beforeAll(async () => {
  rig = await Rig.start();
  consumer = await rig.consumer(await rig.publish('weather'));
  await rig.everywhere(consumer.revision);
  await rig.replicas['us-east'].stop();
  copy = join(rig.directory, 'copy');
  sync();
  // it knows no master, which would give it over the stream what the copy lacks
  rig.replicas['us-east'] = await startReplica({
    environment: 'prod',
    region: 'us-east',
    stateDir: join(rig.directory, 'us-east'),
    env: { ARTIFACT_STORE: `file://${copy}` },
  });
});
afterAll(() => rig?.stop());

/** One more revision on the master, in the store, not yet in the copy. @returns its number */
async function oneMore(): Promise<number> {
  const { revision } = await rig.consumer('weather:v1');
  const number = Number(revision.split('@')[1]);
  await until(() => headIn(rig.storeDirectory).revision >= number, { what: 'the store to have the revision' });
  return number;
}

async function refusedWith(...codes: string[]): Promise<string> {
  const error = await until(async () => (await rig.status('us-east')).lastError, {
    within: 45_000,
    what: 'the status to name what was refused',
  });
  expect(codes).toContain(error.code);
  expect((await rig.call('us-east', '/weather/v1/today', consumer.secret)).status).toBe(200);
  return error.detail;
}

describe('R4 what lies in a store', () => {
  afterEach(async () => {
    // mended, the replica goes on by itself
    sync();
    await rig.reached('us-east', `prod@${headIn(rig.storeDirectory).revision}`);
    await until(async () => (await rig.status('us-east')).lastError === null, { what: 'the error to be over' });
  });

  it('with a byte flipped is refused, named in the status, and traffic goes on', async () => {
    const before = (await rig.status('us-east')).revision;
    const number = await oneMore();
    const bytes = read(deltaName('prod', number));
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    sync({ [deltaName('prod', number)]: bytes });
    await refusedWith('bad_hash');
    expect((await rig.status('us-east')).revision).toBeLessThan(number);
    expect((await rig.status('us-east')).revision).toBeGreaterThanOrEqual(before);
  });

  it('cut short is refused', async () => {
    const number = await oneMore();
    const bytes = read(deltaName('prod', number));
    sync({ [deltaName('prod', number)]: bytes.subarray(0, bytes.length - 10) });
    await refusedWith('truncated');
  });

  it('is refused when it is the delta of another revision', async () => {
    const number = await oneMore();
    sync({ [deltaName('prod', number)]: read(deltaName('prod', 1)) });
    await refusedWith('wrong_revision');
  });

  it('is refused when it is the delta of another environment', async () => {
    const { client } = rig.master;
    await client.post('/v1/environments', { id: 'dev', position: 10 }).catch(() => undefined);
    await until(() => headIn(rig.storeDirectory).revision > 0 && read(deltaName('dev', 1)), {
      what: 'the first revision of dev',
    });
    const number = await oneMore();
    sync({ [deltaName('prod', number)]: read(deltaName('dev', 1)) });
    await refusedWith('wrong_environment');
  });

  it('is refused when it is an old head put back', async () => {
    const old = readFileSync(pathOf(headName('prod')));
    const number = await oneMore();
    sync();
    await rig.reached('us-east', `prod@${number}`);
    put(headName('prod'), old);
    const error = await until(async () => (await rig.status('us-east')).lastError, {
      within: 45_000,
      what: 'the old head to be named',
    });
    expect(error.code).toMatch(/head/);
    expect((await rig.status('us-east')).revision).toBe(number);
  });

  it('is refused when the head is that of another environment, or no head at all', async () => {
    put(headName('prod'), read(headName('dev')));
    await refusedWith('wrong_environment');
    put(headName('prod'), 'not a head');
    await until(async () => (await rig.status('us-east')).lastError?.code === 'malformed', {
      within: 45_000,
      what: 'the malformed head to be named',
    });
  });

  it('may be missing for a while', async () => {
    sync({ [deltaName('prod', await oneMore())]: null });
    await refusedWith('revision_missing', 'object_missing'); // asked for by itself, or as a part of the way to the head
  });
});
