import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { lockable, makeReadOnly, scratch } from '../testing/directories.js';
import { smallDisk } from '../testing/small-disk.js';
import { everyCall, storeConformance } from '../testing/store-conformance.js';
import { DirectoryLock } from './directory-lock.js';
import { openStore } from './open-store.js';

const LIMIT = 1024 * 1024;
const X = Buffer.from('x');

storeConformance('directory', () => {
  const url = pathToFileURL(join(scratch(), 'store')).href;
  return Promise.resolve({ store: openStore(url, { create: true }), again: () => openStore(url) });
});

describe('directory store', () => {
  it('makes the directory and what is above it only when it is told to', async () => {
    const base = join(scratch(), 'a', 'b', 'c');
    for (const call of everyCall(openStore(urlOf(base)), 'prod/head.json')) {
      await expect(call()).rejects.toMatchObject({ code: 'store_unreachable', retriable: true });
    }
    expect(existsSync(base)).toBe(false);
    expect(await openStore(urlOf(base), { create: true }).get('prod/head.json', LIMIT)).toBeNull();
    expect(await openStore(urlOf(base)).create('prod/head.json', X)).toBe('created');
  });

  it('asks before it makes a directory, each time, and makes none that it may not', async () => {
    const base = join(scratch(), 'store');
    let may = false;
    const store = openStore(urlOf(base), { create: () => Promise.resolve(may) });
    for (const call of everyCall(store, 'prod/head.json')) {
      await expect(call()).rejects.toMatchObject({ code: 'store_unreachable', retriable: true });
    }
    expect(existsSync(base)).toBe(false);
    may = true;
    expect(await store.create('prod/head.json', X)).toBe('created');
  });

  it('takes a directory that was moved away for a store that is gone, makes no new one, and goes on when it is back', async () => {
    const base = join(scratch(), 'store');
    const store = openStore(urlOf(base), { create: true });
    await store.create('prod/head.json', X);
    renameSync(base, `${base}-moved`);
    for (const call of everyCall(store, 'prod/head.json')) {
      await expect(call()).rejects.toMatchObject({ code: 'store_unreachable', retriable: true });
    }
    await expect(store.get('prod/head.json', LIMIT)).rejects.toThrow(`${urlOf(base)} does not exist`);
    expect(existsSync(base)).toBe(false);
    renameSync(`${base}-moved`, base);
    expect((await store.get('prod/head.json', LIMIT))?.bytes).toEqual(X);
    expect(await store.create('prod/delta/2', X)).toBe('created');
  });

  it('is filled again when somebody empties it under a running writer', async () => {
    const base = scratch();
    const store = openStore(urlOf(base));
    await store.create('prod/delta/1', X);
    for (const entry of readdirSync(base)) rmSync(join(base, entry), { recursive: true });
    expect(await store.get('prod/delta/1', LIMIT)).toBeNull();
    expect(await store.create('prod/delta/1', X)).toBe('created');
    expect(await store.replace('prod/head.json', X, null)).toMatchObject({ kind: 'replaced' });
  });

  it('says that a file in place of the directory is not one', async () => {
    const base = join(scratch(), 'file');
    writeFileSync(base, 'x');
    const store = openStore(urlOf(base), { create: true });
    await expect(store.get('prod/head.json', LIMIT)).rejects.toMatchObject({ code: 'store_unreachable' });
    await expect(store.create('prod/head.json', X)).rejects.toThrow('is not a directory');
  });

  it('refuses to write an object where there is a folder, and below an object', async () => {
    const store = openStore(urlOf(scratch()));
    await store.create('prod/delta/1', X);
    await expect(store.create('prod/delta', X)).rejects.toMatchObject({ code: 'store_bad_name' });
    await expect(store.create('prod/delta/1/a', X)).rejects.toMatchObject({ code: 'store_bad_name' });
    await expect(store.replace('prod/delta/1/a', X, null)).rejects.toMatchObject({ code: 'store_bad_name' });
    expect(await store.replace('prod/delta/1/a', X, 'tag')).toEqual({ kind: 'conflict' });
  });

  it('is denied by a directory that it may not write to, and still reads', async (context) => {
    const base = lockable(context);
    const store = openStore(urlOf(base));
    await store.create('prod/head.json', X);
    makeReadOnly(base);
    const denied = { code: 'store_denied', retriable: false };
    await expect(store.create('prod/delta/1', X)).rejects.toMatchObject(denied);
    await expect(store.replace('prod/head.json', X, 'tag')).rejects.toMatchObject(denied);
    expect((await store.get('prod/head.json', LIMIT))?.bytes).toEqual(X);
  });

  it('is full without leaving a part of an object, and goes on when there is room again', async (context) => {
    const base = smallDisk(context, '256k');
    const store = openStore(urlOf(base));
    const full = { code: 'store_full', retriable: true };
    await store.create('prod/head.json', X);
    const head = await store.get('prod/head.json', LIMIT);
    await store.create('prod/delta/1', Buffer.alloc(150_000));
    await expect(store.create('prod/delta/2', Buffer.alloc(150_000))).rejects.toMatchObject(full);
    await expect(store.replace('prod/head.json', Buffer.alloc(150_000), head?.etag ?? '')).rejects.toMatchObject(full);
    expect(await store.get('prod/delta/2', LIMIT)).toBeNull();
    expect(await store.get('prod/head.json', LIMIT)).toEqual(head);
    expect(readdirSync(join(base, '.tmp'))).toEqual([]);
    await store.delete('prod/delta/1');
    expect(await store.create('prod/delta/2', Buffer.alloc(150_000))).toBe('created');
  });

  it('gives up a call that the file system does not answer', async () => {
    const base = scratch();
    mkdirSync(join(base, 'prod'));
    // Opening a pipe that nobody writes to hangs, as opening a file of a server that went away does.
    const pipe = join(base, 'prod', 'head.json');
    execFileSync('mkfifo', [pipe]);
    const store = openStore(urlOf(base), { timeoutMs: 50 });
    await expect(store.get('prod/head.json', LIMIT)).rejects.toMatchObject({ code: 'store_timeout', retriable: true });
    const reason = new Error('stopping');
    const controller = new AbortController();
    const reading = openStore(urlOf(base)).get('prod/head.json', LIMIT, controller.signal);
    controller.abort(reason);
    await expect(reading).rejects.toBe(reason);
    await (await open(pipe, 'r+')).close();
  });

  it('replaces within its time although a killed writer still holds the object', async () => {
    const base = scratch();
    const store = openStore(urlOf(base), { timeoutMs: 3_000 });
    await store.create('prod/head.json', X);
    const dead = await DirectoryLock.stage(join(base, '.tmp'), 'prod/head.json', Buffer.from('of the dead'));
    await dead.acquire(new AbortController().signal, 1_000);
    const head = await store.get('prod/head.json', LIMIT);
    const outcome = await store.replace('prod/head.json', Buffer.from('y'), head?.etag ?? '');
    expect(outcome).toMatchObject({ kind: 'replaced' });
    expect((await store.get('prod/head.json', LIMIT))?.bytes.toString()).toBe('y');
  });

  it('removes what killed writers left behind, once it is old', async () => {
    const base = scratch();
    await openStore(urlOf(base)).create('prod/delta/1', X);
    const tmp = join(base, '.tmp');
    for (const name of ['old-file', 'young-file']) writeFileSync(join(tmp, name), 'half');
    for (const name of ['old-folder', 'lock-old']) mkdirSync(join(tmp, name, 'holder'), { recursive: true });
    const hoursAgo = new Date(Date.now() - 2 * 3_600_000);
    for (const name of ['old-file', 'old-folder', 'lock-old']) utimesSync(join(tmp, name), hoursAgo, hoursAgo);
    await openStore(urlOf(base)).create('prod/delta/2', X);
    expect(readdirSync(tmp).sort()).toEqual(['lock-old', 'young-file']);
  });

  it('leaves nothing behind but objects', async () => {
    const base = scratch();
    const store = openStore(urlOf(base));
    await store.probe();
    await store.create('prod/head.json', X);
    await store.create('prod/head.json', X);
    const head = await store.get('prod/head.json', LIMIT);
    await store.replace('prod/head.json', Buffer.from('y'), 'another tag');
    await store.replace('prod/head.json', Buffer.from('y'), head?.etag ?? '');
    expect(new Set(readdirSync(base, { recursive: true, encoding: 'utf8' }))).toEqual(
      new Set(['.tmp', 'prod', 'prod/head.json']),
    );
  });
});

function urlOf(path: string): string {
  return pathToFileURL(path).href;
}
