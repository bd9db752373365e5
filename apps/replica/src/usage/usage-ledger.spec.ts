import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOUR_MS, USAGE_LIMITS, usageReport } from '#model';
import { UsageDisk } from './usage-disk.js';
import type { UsageStorage } from './usage-disk-port.js';
import { UsageLedger } from './usage-ledger.js';
import type { UsageTaken } from './usage-tally.js';
import { reportOf, sumOf, type Use } from './use.js';

const APPLICATION = randomUUID();
const SUBSCRIPTIONS = [randomUUID(), randomUUID(), randomUUID()];
const HOUR = 500_000;

const taken = (subscription: number, ...counts: [number, number, number]): UsageTaken => ({
  counts: [SUBSCRIPTIONS[subscription] as string, APPLICATION, 'weather:v1', ...counts],
  keys: [],
  clients: [],
});

/** Keeps the greatest of each, as a master does. */
class Book {
  readonly known = new Map<string, number>();

  take(uses: readonly Use[]): void {
    usageReport.parse(reportOf(uses)); // what a master takes
    for (const use of uses) {
      const name = `${use.series} ${use.hour} ${use.kind} ${use.id}`;
      this.known.set(name, Math.max(this.known.get(name) ?? 0, sumOf(use)));
    }
  }

  get sum(): number {
    return [...this.known.values()].reduce((a, b) => a + b, 0);
  }

  of(hour: number): number {
    return [...this.known].filter(([name]) => name.split(' ')[1] === String(hour)).reduce((sum, [, n]) => sum + n, 0);
  }
}

let directory: string;
let disk: UsageDisk;
let full: boolean;
let now: number;
const storage: UsageStorage = {
  write: async (...args) => (full ? Promise.reject(new Error('no space is left')) : disk.write(...args)),
  read: async (...args) => disk.read(...args),
  forget: async (...args) => disk.forget(...args),
};
const newLedger = (): UsageLedger =>
  new UsageLedger({ disk: storage, now: () => now, newSeries: randomUUID, log: pino({ level: 'silent' }) });

async function tell(ledger: UsageLedger, book: Book, hears: () => boolean = () => true): Promise<void> {
  for await (const { uses, settle } of ledger.batches()) {
    const heard = hears();
    if (heard) book.take(uses);
    settle(heard);
  }
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'helio-usage-'));
  disk = new UsageDisk(directory);
  full = false;
  now = HOUR * HOUR_MS;
});
afterEach(async () => {
  await disk.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('the ledger of usage', () => {
  it('T5 whatever is lost on the way, and however often it ends and begins again, the master comes to what was counted', async () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constant('count' as const), of: fc.nat(2), n: fc.integer({ min: 1, max: 9 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('pass' as const), minutes: fc.integer({ min: -20, max: 90 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('back' as const), hours: fc.integer({ min: 3, max: 9 }) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('tell' as const),
          heard: fc.array(fc.boolean(), { maxLength: 4 }),
          answered: fc.boolean(),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('disk' as const),
          what: fc.constantFrom('store' as const, 'tidy' as const, 'fill' as const, 'kill' as const),
        }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        disk.forget('~');
        const book = new Book();
        let ledger = newLedger();
        let counted = 0;
        now = HOUR * HOUR_MS;
        full = false;
        for (const one of steps) {
          if (one.kind === 'count') {
            ledger.add(taken(one.of, one.n, 0, 0));
            counted += one.n;
          } else if (one.kind === 'pass') now += one.minutes * 60_000;
          else if (one.kind === 'back') now -= one.hours * HOUR_MS;
          else if (one.kind === 'disk' && one.what === 'store') await ledger.store();
          else if (one.kind === 'disk' && one.what === 'tidy') ledger.tidy();
          else if (one.kind === 'disk' && one.what === 'fill') full = !full;
          else if (one.kind === 'disk') {
            full = false; // what was not stored is lost with the process: the bound is the caller's, who stores once a second
            await ledger.store();
            ledger = newLedger();
          } else {
            const heard = [...one.heard];
            for await (const { uses, settle } of ledger.batches()) {
              const hears = heard.shift() ?? false;
              if (hears) book.take(uses);
              settle(hears && one.answered); // an answer may be lost, too
              if (heard.length === 0 && !hears) break;
            }
          }
          expect(book.sum).toBeLessThanOrEqual(counted);
        }
        full = false;
        await ledger.store();
        await tell(ledger, book);
        await tell(ledger, book);
        expect(book.sum).toBe(counted);
        // and the disk is empty when the hours are over
        now = (HOUR + 500) * HOUR_MS;
        ledger.tidy();
        await tell(ledger, book);
        await ledger.store();
        expect(disk.read('', 100).uses).toEqual([]);
        expect(book.sum).toBe(counted);
      }),
      { numRuns: 150 },
    );
  });

  it('counts in the hour in which it is told of requests, and in no hour that is over', async () => {
    const [ledger, book] = [newLedger(), new Book()];
    ledger.add(taken(0, 1, 1, 1));
    now += HOUR_MS;
    ledger.add(taken(0, 5, 0, 0));
    await tell(ledger, book);
    expect([book.of(HOUR), book.of(HOUR + 1)]).toEqual([3, 5]);
  });

  it('tells what has grown, and nothing twice that was answered', async () => {
    const [ledger, book] = [newLedger(), new Book()];
    ledger.add(taken(0, 1, 0, 0));
    await tell(ledger, book);
    let batches = 0;
    await tell(ledger, book, () => ++batches > 0);
    expect(batches).toBe(0);
    ledger.add(taken(1, 1, 0, 0));
    for await (const { uses, settle } of ledger.batches()) {
      expect(uses.map(({ id }) => id)).toEqual([SUBSCRIPTIONS[1]]);
      settle(true);
    }
  });

  it('says once an hour that a key was used', async () => {
    const [ledger, key] = [newLedger(), 'ab'.repeat(16)];
    const told: string[][] = [];
    for (let i = 0; i < 3; i++) {
      ledger.add({ counts: [], keys: [key], clients: [] });
      for await (const { uses, settle } of ledger.batches()) {
        told.push(reportOf(uses).keys);
        settle(true);
      }
    }
    expect(told).toEqual([[key]]);
  });

  it('keeps counting, and telling, while the disk takes nothing', async () => {
    const [ledger, book] = [newLedger(), new Book()];
    full = true;
    ledger.add(taken(0, 4, 0, 0));
    await ledger.store();
    now += 5 * HOUR_MS;
    ledger.tidy();
    ledger.add(taken(0, 3, 0, 0));
    await ledger.store();
    await tell(ledger, book);
    expect(book.sum).toBe(7);
  });

  it('forgets what no master has taken in 40 days', async () => {
    const ledger = newLedger();
    ledger.add(taken(0, 4, 0, 0));
    await ledger.store();
    now += (USAGE_LIMITS.keptHours + 1) * HOUR_MS;
    ledger.add(taken(1, 4, 0, 0));
    await ledger.store();
    await ledger.forget();
    expect(disk.read('', 10).uses.map(({ id }) => id)).toEqual([SUBSCRIPTIONS[1]]);
  });
});

describe('the disk of usage', () => {
  it('puts away what is no database, and begins anew', async () => {
    await disk.close();
    rmSync(join(directory, 'usage'), { recursive: true });
    mkdirSync(join(directory, 'usage'));
    writeFileSync(join(directory, 'usage', 'data.mdb'), Buffer.alloc(40_000, 7));
    disk = new UsageDisk(directory);
    expect(disk.setAside).toBe(join(directory, 'usage.damaged'));
    expect(disk.read('', 10).uses).toEqual([]);
  });
});
