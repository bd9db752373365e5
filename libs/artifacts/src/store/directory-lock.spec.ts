import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DirectoryLock } from './directory-lock.js';

const never = new AbortController().signal;
const PATIENCE_MS = 1_000;
/** for a test that must not see a lock broken, however slow the machine is */
const ENDLESS_MS = 3_600_000;

describe('directory lock', () => {
  let tmp: string;
  let target: string;
  const stage = (text: string) => DirectoryLock.stage(tmp, 'prod/head.json', Buffer.from(text));
  beforeEach(() => {
    tmp = mkdtempSync(join(tmpdir(), 'heliograph-lock-'));
    target = join(tmp, 'object');
  });
  afterEach(() => rmSync(tmp, { recursive: true, force: true }));

  it('is held by one at a time, and another object has another', async () => {
    const first = await stage('first');
    const second = await stage('second');
    const elsewhere = await DirectoryLock.stage(tmp, 'dev/head.json', Buffer.from('x'));
    await first.acquire(never, ENDLESS_MS);
    await elsewhere.acquire(never, ENDLESS_MS);
    let order = '';
    const waiting = second.acquire(never, ENDLESS_MS).then(() => (order += 'acquired'));
    await first.commit(target);
    order += 'committed ';
    await first.release();
    await waiting;
    expect(order).toBe('committed acquired');
    await second.release();
    await elsewhere.release();
    expect(readdirSync(tmp)).toEqual(['object']);
  });

  it('passes on from a holder that never releases, to exactly one of those who wait', async () => {
    await (await stage('dead')).acquire(never, PATIENCE_MS);
    const waiting = await Promise.all(['a', 'b', 'c'].map(stage));
    let holders = 0;
    await Promise.all(
      waiting.map(async (lock) => {
        await lock.acquire(never, PATIENCE_MS);
        expect(++holders).toBe(1);
        expect(await lock.commit(target)).toBe(true);
        holders--;
        await lock.release();
      }),
    );
    expect(readdirSync(tmp)).toEqual(['object']);
  });

  it('lets a holder that was taken for dead commit nothing when it wakes up', async () => {
    const sleeper = await stage('sleeper');
    await sleeper.acquire(never, PATIENCE_MS);
    const next = await stage('next');
    await next.acquire(never, PATIENCE_MS);
    expect(await sleeper.commit(target)).toBe(false);
    await sleeper.release();
    expect(await next.commit(target)).toBe(true);
    expect(readFileSync(target, 'utf8')).toBe('next');
    await next.release();
    expect(await sleeper.commit(target)).toBe(false);
  });

  it('tells a lock that was broken from an object whose folder is gone', async () => {
    const lock = await stage('x');
    await lock.acquire(never, PATIENCE_MS);
    await expect(lock.commit(join(tmp, 'no-such-folder', 'object'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await lock.commit(target)).toBe(true);
    await lock.release();
  });

  it('stops waiting when the signal fires, and leaves the holder alone', async () => {
    const holder = await stage('holder');
    await holder.acquire(never, ENDLESS_MS);
    const second = await stage('second');
    const controller = new AbortController();
    const waiting = second.acquire(controller.signal, ENDLESS_MS);
    const reason = new Error('stopping');
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await second.release();
    expect(await holder.commit(target)).toBe(true);
    await holder.release();
  });

  it('is free again after a power failure that kept the lock and lost its holder', async () => {
    const first = await stage('first');
    await first.acquire(never, PATIENCE_MS);
    const [name] = readdirSync(tmp);
    rmSync(join(tmp, name ?? '', readdirSync(join(tmp, name ?? ''))[0] ?? ''), { recursive: true });
    const second = await stage('second');
    await second.acquire(never, PATIENCE_MS);
    expect(await second.commit(target)).toBe(true);
    await second.release();
  });

  it('releases without a word when nothing of it is left', async () => {
    const lock = await stage('x');
    await lock.acquire(never, PATIENCE_MS);
    rmSync(tmp, { recursive: true });
    writeFileSync(tmp, '');
    await lock.release();
  });
});
