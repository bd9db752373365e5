import { beforeEach, describe, expect, it } from 'vitest';
import { encodeText, TABLE } from '#model';
import { gone, planOp } from '../../../testing/sample-ops.js';
import { headOf } from '../../../testing/request-heads.js';
import { MemoryState } from '../../../testing/memory-state.js';
import { applicationOp, definitionOf, keyOp, placed } from '../../../testing/gateway-ops.js';
import { decide } from '../decide.js';
import { UNLIMITED } from '../take-tokens.js';
import { CompiledState } from './compiled-state.js';

const KEY = 'hg_live_test';
let memory: MemoryState;
let state: CompiledState;

beforeEach(() => {
  memory = new MemoryState();
  state = new CompiledState('eu-west');
});

function refresh(...ops: Parameters<MemoryState['apply']>): void {
  if (ops.length > 0) memory.apply(...ops);
  state.refresh(memory.snapshot());
}

const api = (name: string, more = {}) => definitionOf({ name, context: `/${name}`, ...more });
const at = (path: string) => state.apiAt(path.slice(1).split('/'))?.api;

function outcome(path = '/weather/today', key = KEY): string {
  const decision = decide(headOf('GET', path, { 'x-api-key': key }), state, UNLIMITED, 0);
  return decision.kind === 'respond' ? `${decision.code}` : decision.kind;
}

describe('CompiledState', () => {
  it('compiles what changed, and takes everything else over', () => {
    refresh(placed(api('a')), placed(api('b')), planOp('gold'));
    const [a, b] = [at('/a'), at('/b')];
    refresh(placed(api('b', { security: 'open' })), keyOp(KEY));
    expect(at('/a')).toBe(a);
    expect(at('/b')).not.toBe(b);
    expect(at('/b')?.credential).toBeNull();
    refresh(keyOp('another'));
    expect(state.revision).toBe(3);
  });

  it('compiles one release for a revision that changes one, whatever else there is, and none for any other', () => {
    const many = Array.from({ length: 500 }, (_, i) => placed(api(`api-${i}`))).flat();
    /** Definitions that are read while a revision is loaded: what is compiled is read first. */
    const compiled = (whole: boolean, ...ops: Parameters<MemoryState['apply']>): number => {
      memory.apply(...ops);
      const snapshot = memory.snapshot();
      let count = 0;
      state.refresh({
        ...snapshot,
        get: (table, key) => {
          if (table === TABLE.release) count += 1;
          return snapshot.get(table, key);
        },
        changesSince: (revision, repairs) => (whole ? null : snapshot.changesSince(revision, repairs)),
      });
      return count;
    };
    expect(compiled(false, many, planOp('gold'))).toBe(500);
    expect(compiled(false, placed(api('api-7', { security: 'open' })))).toBe(1);
    expect(compiled(false, planOp('gold'), planOp('silver'), keyOp(KEY), applicationOp({}))).toBe(0);
    expect(compiled(false, placed(api('api-7', { security: 'open' })), placed(api('api-8')))).toBe(0);
    expect(compiled(false, placed(api('api-9', { security: 'open' }), 'us-east'))).toBe(0);
    // also when nobody can tell any more what has changed
    expect(compiled(true, placed(api('api-9', { security: 'open' })))).toBe(1);
    expect(state.apiCount).toBe(500);
  });

  it('follows placements: of its region before the default, and of no other region', () => {
    const [everywhere, here, elsewhere] = [
      api('a'),
      api('a', { context: '/here' }),
      api('a', { context: '/elsewhere' }),
    ];
    refresh(placed(everywhere), placed(elsewhere, 'us-east'));
    expect([at('/a')?.context, at('/elsewhere')]).toEqual(['/a', undefined]);
    refresh(placed(here, 'eu-west'));
    expect([at('/a'), at('/here')?.context]).toEqual([undefined, '/here']);
    refresh(placed(here, 'eu-west').map(gone));
    expect([at('/a')?.context, at('/here')]).toEqual(['/a', undefined]);
    refresh(placed(everywhere).map(gone));
    expect(at('/a')).toBeUndefined();
    expect(state.apiCount).toBe(0);
  });

  it('serves the last good version of what cannot be compiled, and everything else anew', () => {
    refresh(placed(api('a')), placed(api('b')), planOp('gold', { rate: { limit: 1, per: 'second' }, quota: null }));
    const bad = { ...api('a'), routes: [{ method: 'GET' as const, path: 'no slash' }] };
    refresh(placed(bad), placed(api('b', { context: '/b2' })), {
      table: TABLE.plan,
      key: encodeText('gold'),
      value: Buffer.from('{'),
    });
    expect([at('/a')?.context, at('/b'), at('/b2')?.context, state.plan('gold')?.limits.consumer.rate?.limit]).toEqual([
      '/a',
      undefined,
      '/b2',
      1,
    ]);
    expect(state.faults.map(({ item, detail }) => `${item}: ${detail.slice(0, 45)}`).sort()).toEqual([
      'a:v1: the route GET no slash must begin with /',
      expect.stringMatching(/^plan gold: .*JSON/),
    ]);
    refresh(keyOp(KEY));
    expect(state.faults).toHaveLength(2);
    refresh(placed(api('a')), planOp('gold'));
    expect(state.faults).toEqual([]);
  });

  it('says of an API that never could be compiled that there is none', () => {
    refresh(placed({ ...api('a'), upstream: { targets: [{ url: 'nowhere' }] } }), placed(api('b')));
    expect([at('/a'), at('/b')?.name]).toEqual([undefined, 'b']);
    expect(state.faults).toHaveLength(1);
    const [release, placement] = placed(api('c'));
    if (release && placement) refresh(placement);
    expect(state.faults.find(({ item }) => item === 'c:v1')?.detail).toMatch(/is not in the state/);
  });

  it('gives a context that two APIs claim to the first by name, on every replica, and says so', () => {
    const [first, second] = [placed(api('a', { context: '/same' })), placed(api('b', { context: '/same' }))];
    refresh(second);
    expect(at('/same')?.name).toBe('b');
    refresh(first);
    expect(at('/same')?.name).toBe('a');
    expect(state.faults).toEqual([{ item: 'b:v1', detail: 'its context /same is taken by a:v1' }]);
    refresh(first.map(gone));
    expect([at('/same')?.name, state.faults.length]).toEqual(['b', 0]);
  });

  it('G2 forgets keys and applications that a revision changes, absent ones included', () => {
    refresh(placed(api('weather')), planOp('gold'));
    expect(outcome()).toBe('credential_unknown');
    refresh(keyOp(KEY), applicationOp({ 'weather:v1': 'gold' }));
    expect(outcome()).toBe('forward');
    refresh(keyOp(KEY, { revoked: true }));
    expect(outcome()).toBe('credential_revoked');
    refresh(keyOp(KEY));
    refresh(applicationOp({}));
    expect(outcome()).toBe('not_subscribed');
    refresh(gone(applicationOp({})));
    expect(outcome()).toBe('credential_unknown');
  });

  it('G2 forgets everything when what changed is too long ago to tell', () => {
    refresh(placed(api('weather')), planOp('gold'), keyOp(KEY), applicationOp({ 'weather:v1': 'gold' }));
    expect(outcome()).toBe('forward');
    memory.apply(keyOp(KEY, { revoked: true }));
    memory.apply(placed(api('weather', { context: '/moved' })));
    state.refresh({ ...memory.snapshot(), changesSince: () => null });
    expect([outcome(), outcome('/moved/today')]).toEqual(['no_such_api', 'credential_revoked']);
  });

  it('G2 forgets all keys and applications when more of them changed than are named, and compiles the rest as named', () => {
    refresh(placed(api('weather')), planOp('gold'), keyOp(KEY), applicationOp({ 'weather:v1': 'gold' }));
    expect(outcome()).toBe('forward');
    memory.apply(keyOp(KEY, { revoked: true }), placed(api('weather', { context: '/moved' })));
    const newer = memory.snapshot();
    const named = newer.changesSince(1)?.entries.filter(({ table }) => table !== TABLE.key) ?? [];
    state.refresh({ ...newer, changesSince: () => ({ entries: named, complete: false }) });
    expect([outcome(), outcome('/moved/today')]).toEqual(['no_such_api', 'credential_revoked']);
  });

  it('G2 decides by the revision that it has pinned, whatever is applied meanwhile', () => {
    refresh(placed(api('weather')), planOp('gold'));
    memory.apply(keyOp(KEY), applicationOp({ 'weather:v1': 'gold' }));
    expect([outcome(), state.revision]).toEqual(['credential_unknown', 1]);
    refresh();
    expect([outcome(), state.revision]).toEqual(['forward', 2]);
  });

  it('G2 keeps all of the revision before when the new one cannot be read, and closes what it does not use', () => {
    refresh(placed(api('weather')), planOp('gold'), keyOp(KEY), applicationOp({ 'weather:v1': 'gold' }));
    memory.apply(keyOp(KEY, { revoked: true }), placed(api('weather', { context: '/moved' })));
    const broken = memory.snapshot();
    const failing = {
      ...broken,
      changesSince: () => {
        throw new Error('the disk');
      },
    };
    expect(() => state.refresh(failing)).toThrow('the disk');
    expect([outcome(), state.revision, memory.open]).toEqual(['forward', 1, 1]);
    refresh();
    expect([outcome('/moved/today'), memory.open]).toEqual(['credential_revoked', 1]);
    state.close();
    expect([state.revision, memory.open]).toEqual([0, 0]);
  });
});
