import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeKeyRecord, encodeJson, encodeTrustedKeys, type Op, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import {
  APPLICATION,
  applicationOp,
  gone,
  keyOp,
  placementOp,
  planOp,
  releaseOp,
  sampleDefinition,
} from '../testing/sample-ops.js';
import { StateFixture } from '../testing/state-fixture.js';
import { faultOfEntry } from './entry-fault.js';

let f: StateFixture;
beforeEach(() => {
  f = new StateFixture();
});
afterEach(() => f.end());

const releaseA = releaseOp(sampleDefinition('weather', 'http://a'));
const releaseB = releaseOp(sampleDefinition('weather', 'http://b'));
const tooNew = releaseOp({ ...sampleDefinition('weather', 'http://c'), fromTheFuture: true });
const place = (release: Op | null): Op => placementOp('weather:v1', 'eu-west', release);
const nacks = (): string[] =>
  f.store.nacks.map(({ table, key, revision, code }) => `${table} ${key} @${revision} ${code}`);

describe('what cannot be used', () => {
  it('R6 a revocation is applied although another op of its revision, or one before it, cannot be used', async () => {
    await f.apply(releaseA, place(releaseA), keyOp('k'), keyOp('l'));
    await f.apply(tooNew, place(tooNew), keyOp('k', true));
    expect(f.served(keyOp('k'))).toEqual(keyOp('k', true).value);
    await f.apply(keyOp('l', true));
    expect(f.served(keyOp('l'))).toEqual(keyOp('l', true).value);
    expect(nacks()).toEqual([
      `release ${tooNew.key.toString('hex')} @2 definition_invalid`,
      'placement weather:v1@eu-west @2 release_unusable',
    ]);
    expect(f.store.nacks[0]?.detail).toContain('fromTheFuture');
  });

  it('R6 a key that is revoked is revoked whatever else a newer master says in its record', async () => {
    await f.apply(keyOp('k'));
    const revoked = withHead(keyOp('k', true), 0x13);
    await f.apply(revoked);
    expect(f.served(keyOp('k'))).toEqual(revoked.value);
    expect(decodeKeyRecord(revoked.value as Buffer).revoked).toBe(true);
    expect(nacks()).toEqual([]);
  });

  it('R6 what cannot be read and may be a revocation lets nobody in; what surely is none leaves the last good value', async () => {
    const [alive, shut, unknown, strange] = ['k', 'l', 'm', 'n'].map((secret) => keyOp(secret)) as [Op, Op, Op, Op];
    const [open, suspended, unreadable] = [1, 2, 3].map((last) =>
      applicationOp(`${APPLICATION.slice(0, -1)}${last}`),
    ) as [Op, Op, Op];
    await f.apply(alive, shut, unknown, strange, open, suspended, unreadable);
    await f.apply(
      withHead(alive, 0x14),
      withHead(shut, 0x21),
      { ...unknown, value: Buffer.alloc(3) },
      withHead(strange, 0xff),
      { ...open, value: encodeJson({ name: 'a', subscriptions: 'all' }) },
      { ...suspended, value: encodeJson({ name: 'a', suspended: true, subscriptions: 'all' }) },
      { ...unreadable, value: Buffer.from('{') },
    );
    const expected = [alive.value, null, null, null, open.value, null, null];
    const all = [alive, shut, unknown, strange, open, suspended, unreadable];
    expect(all.map((op) => f.served(op))).toEqual(expected);
    expect(nacks()).toHaveLength(7);
    await f.reopen();
    expect(all.map((op) => f.served(op))).toEqual(expected);
    await f.apply(shut, suspended);
    expect([f.served(shut), f.served(suspended)]).toEqual([shut.value, suspended.value]);
    expect(nacks()).toHaveLength(5);
  });

  it('trusted keys that cannot be read are held, and those of before count, after a restart too', async () => {
    const setting: Op = {
      table: TABLE.setting,
      key: TRUSTED_KEYS_SETTING,
      value: encodeTrustedKeys([f.chain.signer.publicKey]),
    };
    await f.apply(setting);
    await f.apply({ ...setting, value: encodeJson({ keys: ['later'] }) });
    await f.reopen();
    expect(f.served(setting)).toEqual(setting.value);
    expect(nacks()).toEqual(['setting trusted-keys @2 record_invalid']);
    expect(f.store.nacks[0]?.detail).toContain('still believed');
  });

  it('the last good placement goes on serving, after a restart too, and when the chain drops the release it needs', async () => {
    await f.apply(releaseA, place(releaseA));
    await f.apply(tooNew, place(tooNew));
    await f.reopen();
    await f.apply(gone(releaseA));
    await f.reopen();
    expect(f.served(place(null))).toEqual(releaseA.key);
    expect(f.served(releaseA)).toEqual(releaseA.value);
    expect(f.served(tooNew)).toBeNull();
    expect(nacks()).toHaveLength(2);
    const snapshot = f.store.snapshot();
    expect([...snapshot.entries(TABLE.release)]).toEqual([{ key: releaseA.key, value: releaseA.value }]);
    expect(Array.from(snapshot.entries(TABLE.placement), ({ value }) => value)).toEqual([releaseA.key]);
    snapshot.close();
  });

  it('a later good op takes the place of what was held, and frees the release that only it needed', async () => {
    await f.apply(releaseA, place(releaseA));
    await f.apply(gone(releaseA), tooNew, place(tooNew));
    expect(f.served(releaseA)).toEqual(releaseA.value);
    await f.apply(gone(tooNew), releaseB, place(releaseB));
    expect(f.served(place(null))).toEqual(releaseB.key);
    expect(f.served(releaseA)).toBeNull();
    expect(nacks()).toEqual([]);
  });

  it('a placement whose release comes later is served from then on, and named among the changes', async () => {
    await f.apply(place(releaseA));
    expect(f.served(place(null))).toBeNull();
    expect(nacks()).toEqual(['placement weather:v1@eu-west @1 release_unusable']);
    await f.apply(releaseA);
    expect(f.served(place(null))).toEqual(releaseA.key);
    expect(nacks()).toEqual([]);
    const snapshot = f.store.snapshot();
    expect(
      snapshot
        .changesSince(1)
        ?.entries.map(({ table }) => table)
        .sort(),
    ).toEqual([TABLE.release, TABLE.placement]);
    snapshot.close();
  });

  it('a release that is dropped while a placement of the chain needs it goes on serving, and the placement is named', async () => {
    await f.apply(releaseA, place(releaseA), placementOp('weather:v1', '*', releaseA));
    await f.apply(gone(releaseA));
    expect(f.served(place(null))).toEqual(releaseA.key);
    expect(f.served(releaseA)).toEqual(releaseA.value);
    expect(nacks()).toEqual([
      'placement weather:v1@* @2 release_unusable',
      'placement weather:v1@eu-west @2 release_unusable',
    ]);
    await f.apply(place(null), placementOp('weather:v1', '*', null));
    expect(f.served(releaseA)).toBeNull();
    expect(nacks()).toEqual([]);
  });

  it('a definition that does not have its digest is not served, and the one that had it goes on', async () => {
    await f.apply(releaseA, place(releaseA));
    await f.apply({ ...releaseA, value: releaseB.value });
    expect(f.served(releaseA)).toEqual(releaseA.value);
    expect(nacks()).toEqual([`release ${releaseA.key.toString('hex')} @2 digest_mismatch`]);
  });

  it('records that do not parse, wrong keys and unknown tables are held, each by itself; deleting one clears it', async () => {
    await f.apply(planOp('gold'), keyOp('k'));
    const broken: Op[] = [
      planOp('gold', { rate: 'fast' }),
      { table: TABLE.plan, key: Buffer.from('Not A Plan'), value: planOp('x').value },
      { ...keyOp('k'), value: Buffer.alloc(21, 0xff) },
      { ...keyOp('n'), key: Buffer.alloc(3) },
      { ...applicationOp(), value: Buffer.from('{') },
      { table: 99, key: Buffer.from('x'), value: Buffer.from('y') },
      { table: TABLE.placement, key: Buffer.from('nowhere'), value: Buffer.alloc(32) },
    ];
    await f.apply(...broken, planOp('silver'));
    expect(nacks()).toHaveLength(broken.length);
    expect(f.served(planOp('gold'))).toEqual(planOp('gold').value);
    expect(f.served(keyOp('k'))).toBeNull();
    expect(f.served(broken[5] as Op)).toBeNull();
    expect(f.served(planOp('silver'))).toEqual(planOp('silver').value);
    await f.apply(...broken.map(gone));
    expect(nacks()).toEqual([]);
    expect(f.served(planOp('gold'))).toBeNull();
  });

  it('no more than 100 of them are listed', async () => {
    await f.apply(
      ...Array.from(
        { length: 150 },
        (_, index): Op => ({ table: 99, key: Buffer.of(1, index), value: Buffer.alloc(1) }),
      ),
    );
    expect(f.store.nacks).toHaveLength(100);
  });

  it('R6 whatever comes: what can be used is served, what serves has its release, and changes are named, across restarts', async () => {
    const releases = [releaseA, releaseB, tooNew, { ...releaseB, value: Buffer.from('{}') }];
    const op = fc.oneof(
      fc.constantFrom(...releases, gone(releaseA), gone(releaseB), gone(tooNew)),
      fc
        .tuple(
          fc.constantFrom('weather:v1', 'maps:v2'),
          fc.constantFrom('*', 'eu-west'),
          fc.constantFrom(null, ...releases),
        )
        .map((parts) => placementOp(...parts)),
      fc.constantFrom(keyOp('k'), keyOp('k', true), gone(keyOp('k')), { ...keyOp('k'), value: Buffer.alloc(2) }),
    );
    const revisions = fc.array(
      fc.record({ ops: fc.array(op, { minLength: 1, maxLength: 4 }), restart: fc.boolean() }),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(revisions, async (script) => {
        const g = new StateFixture();
        try {
          let before = served(g);
          for (const { ops, restart } of script) {
            await g.apply(...new Map(ops.map((one) => [`${one.table}/${one.key.toString('hex')}`, one])).values());
            const after = served(g);
            expectSound(g, after);
            expectNamed(g, before, after);
            if (restart) await g.reopen();
            expect(served(g)).toEqual(after);
            before = after;
          }
        } finally {
          await g.end();
        }
      }),
      { numRuns: 40 },
    );
  }, 300_000); // a disk's worth of commits and restarts, on whatever disk
});

/** The key's record with another first byte: version and flags. */
function withHead(op: Op, head: number): Op {
  return { ...op, value: Buffer.concat([Buffer.of(head), (op.value as Buffer).subarray(1)]) };
}

/** Everything that is served, as `<table> <key> -> value` in hexadecimal. */
function served(g: StateFixture): Map<string, string> {
  const snapshot = g.store.snapshot();
  const all = new Map<string, string>();
  for (const table of [TABLE.release, TABLE.placement, TABLE.key]) {
    for (const { key, value } of snapshot.entries(table)) {
      all.set(Buffer.concat([Buffer.of(table), key]).toString('hex'), value.toString('hex'));
      expect(snapshot.get(table, key)).toEqual(value);
    }
  }
  snapshot.close();
  return all;
}

function expectSound(g: StateFixture, view: Map<string, string>): void {
  for (const [name, value] of g.chain.entries) {
    const bytes = Buffer.from(name, 'hex');
    const usable = faultOfEntry(bytes.readUInt8(0), bytes.subarray(1), value) === null;
    const target = bytes[0] === TABLE.placement ? g.chain.entries.get(`01${value.toString('hex')}`) : undefined;
    const complete = bytes[0] !== TABLE.placement || (target && faultOfEntry(TABLE.release, value, target) === null);
    if (usable && complete) expect(view.get(name)).toBe(value.toString('hex'));
  }
  for (const [name, value] of view) {
    if (name.startsWith('02')) expect(view.has(`01${value}`)).toBe(true);
    if (name.startsWith('05')) expect(g.chain.entries.has(name)).toBe(true);
  }
}

function expectNamed(g: StateFixture, before: Map<string, string>, after: Map<string, string>): void {
  const snapshot = g.store.snapshot();
  const named = new Set(
    snapshot
      .changesSince(snapshot.revision - 1)
      ?.entries.map(({ table, key }) => Buffer.concat([Buffer.of(table), key]).toString('hex')),
  );
  snapshot.close();
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    if (before.get(name) !== after.get(name)) expect(named.has(name)).toBe(true);
  }
}
