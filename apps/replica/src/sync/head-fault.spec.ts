import { describe, expect, it } from 'vitest';
import type { Head } from '#artifacts';
import type { KnownHead, StoredPosition } from '../state/state-layout.js';
import { faultOfHead } from './head-fault.js';

const SECOND = 1000;
const NOW = 1_800_000_000_000;
/** when the term of the newest head was heard of */
const TERM = NOW - 10 * SECOND;
const hashOf = (revision: number): string => `${revision}`.padStart(64, '0');
const known = (revision: number, issuedAt = NOW, epoch = 3): KnownHead => ({
  epoch,
  revision,
  hash: hashOf(revision),
  issuedAt,
  expiresAt: issuedAt + 90 * SECOND,
});
const headOf = (one: KnownHead): Head => ({
  ...one,
  format: 1,
  environment: 'prod',
  root: hashOf(0),
  snapshot: null,
  keyId: '00'.repeat(8),
});

/** Of a source that said `own` before, at a replica that has applied the newest of all: by default that one. */
function judged(own: KnownHead, head: Head, isOnePlace: boolean, newest = own): string | null {
  const position = { epoch: newest.epoch, revision: newest.revision, hash: newest.hash } as StoredPosition;
  return faultOfHead(head, { position, newest, own, isOnePlace, termBegan: TERM, keptHash: hashOf })?.code ?? null;
}

describe('R3 R4 a head that goes back behind what its source has said', () => {
  const own = known(7);
  it.each<[string, KnownHead, string | null, string | null]>([
    ['says the same again', own, null, null],
    ['was issued a moment before', known(7, NOW - 100), 'head_replayed', null],
    ['was issued when the newest was not there yet', known(6, NOW - 100), 'head_replayed', null],
    ['expired just when the newest was issued', known(6, NOW - 90 * SECOND), 'head_replayed', null],
    ['had expired before the newest was issued', known(7, NOW - 90 * SECOND - 1), 'head_replayed', 'head_replayed'],
    ['had expired, and names less', known(6, NOW - 90 * SECOND - 1), 'head_replayed', 'head_replayed'],
    ['is of an older term', known(6, NOW - 100, 2), 'older_epoch', 'older_epoch'],
    ['names less in a newer term', known(6, NOW - 100, 4), 'head_replayed', 'head_replayed'],
    ['is newer', known(8, NOW + 100), null, null],
    ['is newer, by a clock that was set back', known(8, NOW - 500 * SECOND), null, null],
  ])('%s', (_, head, ofOne, ofSeveral) => {
    expect([judged(own, headOf(head), true), judged(own, headOf(head), false)]).toEqual([ofOne, ofSeveral]);
  });

  it.each<[string, KnownHead, string, string]>([
    ['was signed before the newer one began', known(6, TERM - 1, 2), 'head_outdated', 'head_replayed'],
    ['was signed after that, by a master that does not know it', known(6, TERM, 2), 'older_epoch', 'older_epoch'],
    ['is not renewed until it has expired', known(6, NOW - 90 * SECOND - 1, 2), 'older_epoch', 'head_replayed'],
    ['names another history', { ...known(6, TERM - 1, 2), hash: hashOf(99) }, 'older_epoch', 'older_epoch'],
    ['names what is not known here', known(8, TERM - 1, 2), 'older_epoch', 'older_epoch'],
  ])(
    'R4 R10 of an older term: %s; of one place that has shown the newer one it is no excuse',
    (_, head, code, after) => {
      const before = known(5, NOW - 200 * SECOND, 2);
      const heard = (isOnePlace: boolean): string | null => judged(before, headOf(head), isOnePlace, own);
      expect([heard(true), heard(false)]).toEqual([code, code]);
      expect([judged(own, headOf(head), true), judged(own, headOf(head), false)]).toEqual([after, code]);
    },
  );

  it.each([6, 7])('R10 is a fork where it names another history at revision %i, however many answer', (revision) => {
    const other = { ...headOf(known(revision, NOW - 100)), hash: hashOf(99) };
    expect([judged(own, other, true), judged(own, other, false)]).toEqual(['fork', 'fork']);
  });
});
