import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { missingFor, type Position } from './applied.js';
import { convergenceOf, type ReplicaStanding } from './convergence.js';
import { waitPreferenceOf } from './prefer.js';

const at = (replica: string, region: string, revision: number): Position => ({
  replica,
  region,
  revision,
  strange: false,
});
const names = (list: Position[]) => list.map(({ replica }) => replica);

describe('a revision is applied', () => {
  const fleet = [at('a', 'eu', 5), at('b', 'eu', 4), at('c', 'us', 6), at('d', 'us', 0)];

  it('by all, by more than half, or by a region', () => {
    expect(names(missingFor({ by: 'all' }, 5, fleet, 6))).toEqual(['b', 'd']);
    expect(names(missingFor({ by: 'quorum' }, 5, fleet, 6))).toEqual(['b', 'd']); // a half is no majority
    expect(missingFor({ by: 'quorum' }, 4, fleet, 6)).toEqual([]);
    expect(names(missingFor({ by: 'region', region: 'eu' }, 5, fleet, 6))).toEqual(['b']);
    expect(missingFor({ by: 'region', region: 'eu' }, 4, fleet, 6)).toEqual([]);
    expect(missingFor({ by: 'all' }, 0, fleet, 6)).toEqual([]);
  });

  it('R10 not by who has revisions of another chain', () => {
    const strange = { ...at('b', 'eu', 6), strange: true };
    expect(names(missingFor({ by: 'all' }, 5, [at('a', 'eu', 5), strange], 6))).toEqual(['b']);
    expect(names(missingFor({ by: 'all' }, 5, [at('a', 'eu', 5), at('b', 'eu', 500)], 6))).toEqual(['b']);
  });

  it('where there is nobody', () => {
    for (const applied of [{ by: 'all' }, { by: 'quorum' }, { by: 'region', region: 'eu' }] as const)
      expect(missingFor(applied, 5, [], 5)).toEqual([]);
  });

  it('by a quorum exactly when more than half have it', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { minLength: 1 }), fc.nat(9), (revisions, revision) => {
        const missing = missingFor(
          { by: 'quorum' },
          revision,
          revisions.map((one, n) => at(`r${n}`, 'eu', one)),
          9,
        );
        const have = revisions.filter((one) => one >= revision).length;
        expect(missing.length === 0).toBe(have * 2 > revisions.length);
      }),
    );
  });
});

describe('Prefer: wait', () => {
  const read = (prefer: string | undefined, applied?: unknown) =>
    waitPreferenceOf({
      headers: prefer === undefined ? {} : { prefer },
      query: applied === undefined ? {} : { applied },
    });
  const refused = (prefer: string | undefined, applied?: unknown): string => {
    try {
      read(prefer, applied);
      return 'nothing';
    } catch (error) {
      return (error as { fields: { field: string }[] }).fields.map(({ field }) => field).join();
    }
  };

  it('is read among other preferences, which are left alone', () => {
    expect(read(undefined)).toBeNull();
    expect(read('return=minimal')).toBeNull();
    for (const header of ['wait=5', 'respond-async, wait=5', 'Wait="5"', 'return=minimal; wait=5'])
      expect(read(header)).toEqual({ seconds: 5, applied: { by: 'all' } });
    expect(read('wait=60', 'quorum')).toEqual({ seconds: 60, applied: { by: 'quorum' } });
    expect(read('wait=1', 'region:eu-west')).toEqual({ seconds: 1, applied: { by: 'region', region: 'eu-west' } });
  });

  it('is refused by the name of the field that is wrong', () => {
    for (const header of ['wait', 'wait=', 'wait=0', 'wait=61', 'wait=1.5', 'wait=-1', 'wait=soon', 'wait=9999'])
      expect(refused(header)).toBe('Prefer');
    for (const applied of ['', 'some', 'region:', 'region:EU', 'region', ['all', 'quorum']])
      expect(refused('wait=5', applied)).toBe('applied');
    expect(refused(undefined, 'all')).toBe('applied');
  });
});

describe('convergence', () => {
  const chain = { environment: 'prod', revision: 5, issuedAt: new Date(0), newest: 9 };
  const standing = (id: string, change: Partial<ReplicaStanding>): ReplicaStanding => ({
    id,
    region: 'eu',
    revision: 5,
    positionAt: new Date(1_000),
    state: 'live',
    connected: true,
    silentFor: 1,
    root: 'aa',
    rootRevision: 5,
    expectedRoot: 'aa',
    strange: false,
    ...change,
  });

  it('R2 is complete only when every replica has the revision and nobody another root', () => {
    expect(convergenceOf(chain, ['eu'], [standing('a', {})])).toMatchObject({
      complete: true,
      lastAppliedAt: new Date(1_000).toISOString(),
      roots: { equal: 1, unknown: 0, different: [] },
    });
    const different = convergenceOf(chain, ['eu'], [standing('a', {}), standing('b', { root: 'bb' })]);
    expect(different).toMatchObject({
      complete: false,
      replicas: { total: 2, applied: 2 },
      roots: { equal: 1, different: [{ replica: 'b', region: 'eu', revision: 5, root: 'bb', expected: 'aa' }] },
    });
    expect(convergenceOf(chain, ['eu'], [standing('a', { revision: 4 })]).complete).toBe(false);
  });

  it('R10 is not complete while a replica follows another chain', () => {
    for (const change of [{ revision: 500 }, { revision: 7, strange: true }]) {
      const answer = convergenceOf(chain, ['eu'], [standing('a', {}), standing('b', { ...change, root: null })]);
      expect(answer).toMatchObject({ complete: false, replicas: { total: 2, applied: 1 } });
      expect(answer.missing).toMatchObject([{ replica: 'b', otherChain: true, behind: 0 }]);
    }
  });

  it('tells replicas that are gone from replicas that are slow, and names those furthest behind first', () => {
    const gone = standing('gone', { revision: 1, silentFor: 61, connected: false, region: 'us' });
    const never = standing('never', {
      revision: null,
      silentFor: null,
      connected: false,
      root: null,
      positionAt: null,
    });
    const answer = convergenceOf(chain, ['eu', 'us', 'empty'], [standing('slow', { revision: 4 }), gone, never]);
    expect(answer.replicas).toEqual({ total: 3, applied: 0, silent: 2 });
    expect(answer.regions).toEqual({
      eu: { total: 2, applied: 0 },
      us: { total: 1, applied: 0 },
      empty: { total: 0, applied: 0 },
    });
    expect(answer.missing.map(({ replica, behind, silent }) => [replica, behind, silent])).toEqual([
      ['never', 5, true],
      ['gone', 4, true],
      ['slow', 1, false],
    ]);
    const many = Array.from({ length: 150 }, (_, n) => standing(`r${n}`, { revision: 0 }));
    expect(convergenceOf(chain, ['eu'], many).missing).toHaveLength(100);
  });
});
