import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '#platform';
import { Publications, type Published, RevisionLookup } from '../publishing/index.js';
import type { PublishingOptions } from '../publishing/options.js';
import { RevisionWaiter } from './revision-waiter.js';

let publications: Publications;
let waiter: RevisionWaiter;
/** what PostgreSQL says when it is asked, by transaction */
const stored = new Map<string, number>();
let asked: string[] = [];

beforeEach(() => {
  stored.clear();
  asked = [];
  const query = (_sql: string, [xid = '']: string[] = []): Promise<unknown[]> => {
    asked.push(xid);
    return Promise.resolve([{ revision: stored.get(xid) ?? null }]);
  };
  publications = new Publications(createLog('test', 'silent'));
  waiter = new RevisionWaiter(publications, new RevisionLookup({ query } as unknown as PublishingOptions));
});
afterEach(() => waiter.onApplicationShutdown());

const published = (revision: number, xids: string[] | null, environment = 'prod'): void =>
  publications.announce({ environment, revision, xids: xids && new Set(xids), sealed: null } satisfies Published);
const carriers = (xid: string): Promise<unknown> => waiter.carriersOf(xid, ['prod']);
const carriedBy = (revision: number): unknown[] => [{ environment: 'prod', revision }];

describe('a statement that commits by itself', () => {
  it('has its revision when that was out before its transaction was known', async () => {
    const anticipated = waiter.anticipate('prod');
    published(4, ['99', '100']);
    published(5, ['101'], 'dev');
    anticipated.is('100');
    anticipated.end();
    expect(await carriers('100')).toEqual(carriedBy(4));
    expect(asked).toEqual([]);
  });

  it('has its revision when that comes afterwards', async () => {
    const anticipated = waiter.anticipate('prod');
    published(4, ['99']);
    anticipated.is('100');
    anticipated.end();
    const waiting = carriers('100');
    published(5, ['100']);
    expect(await waiting).toEqual(carriedBy(5));
    expect(asked).toEqual([]);
  });

  it('is looked up when another master published before anybody waited', async () => {
    stored.set('100', 6);
    const anticipated = waiter.anticipate('prod');
    published(6, null);
    anticipated.is('100');
    anticipated.end();
    expect(await carriers('100')).toEqual(carriedBy(6));
  });
});

describe('a kept answer that is given again', () => {
  it('has the revision that is known', async () => {
    stored.set('100', 6);
    expect(await carriers('100')).toEqual(carriedBy(6));
  });

  it('waits for its revision when the master that wrote it died before that was out', async () => {
    const waiting = carriers('100');
    published(5, ['99']);
    published(6, ['100']);
    expect(await waiting).toEqual(carriedBy(6));
  });

  it('and the first one are both told, when that waits still', async () => {
    waiter.expect('100', ['prod']);
    const both = Promise.all([carriers('100'), carriers('100')]);
    published(6, ['100']);
    expect(await both).toEqual([carriedBy(6), carriedBy(6)]);
  });
});

describe('a transaction', () => {
  it('is looked up when another master published between its last statement and its commit', async () => {
    waiter.expect('100', ['prod']);
    published(7, null);
    expect(asked, 'before its commit there is nothing to find').toEqual([]);
    stored.set('100', 7);
    expect(await carriers('100')).toEqual(carriedBy(7));
  });

  it('goes on waiting when what another master published was something else', async () => {
    waiter.expect('100', ['prod']);
    published(7, null);
    const waiting = carriers('100');
    expect(asked).toEqual(['100']);
    stored.set('100', 8);
    published(8, null);
    expect(await waiting).toEqual(carriedBy(8));
  });
});
