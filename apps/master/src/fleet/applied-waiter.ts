import type { OnModuleDestroy } from '@nestjs/common';
import { fail } from '#model';
import { type Logger, sleep } from '#platform';
import type { Query } from '../publishing/options.js';
import { type Applied, missingFor, type Position } from './applied.js';
import type { FleetBook } from './fleet-book.js';
import { ITS_CHAIN, STRANGE } from './fleet-sql.js';

/** How often it is looked where replicas of other masters stand, while somebody waits for them. */
const LOOK_MS = 100;

/** A write's place in one chain. */
export interface Target {
  environment: string;
  revision: number;
}

interface Waiter extends Target {
  applied: Applied;
  missing: Position[];
  /** called when nothing is missing any more */
  settle: () => void;
}

/** Waits until replicas have applied a revision: told by those that are connected here, read for the others. */
export class AppliedWaiter implements OnModuleDestroy {
  private readonly watches = new Map<string, Watch>();
  private stopping = false;

  constructor(
    private readonly query: Query,
    private readonly book: FleetBook,
    private readonly log: Logger,
  ) {
    book.onMoved((environment) => this.watches.get(environment)?.moved());
  }

  /**
   * @returns the environment that the write has to reach, or it could not be waited for; null: any
   * @throws HelioError `invalid_request` when it names a region that does not exist
   */
  async check(applied: Applied): Promise<string | null> {
    if (applied.by !== 'region') return null;
    const [found] = await this.query<{ environment: string }>(
      'SELECT environment_id AS environment FROM region WHERE id = $1',
      [applied.region],
    );
    if (found) return found.environment;
    const problem = `there is no region "${applied.region}"`;
    throw fail('invalid_request', `applied: ${problem}`, {
      fields: [{ field: 'applied', problem, expected: 'region:<id> of a region that exists' }],
    });
  }

  /** A master that stops waits for nobody: who prefers to wait is told who is missing so far. */
  onModuleDestroy(): void {
    this.stopping = true;
    for (const watch of this.watches.values()) watch.end();
  }

  /** @returns which replicas are missing when it is over; none: the revision is applied */
  async wait(target: Target, applied: Applied, milliseconds: number): Promise<Position[]> {
    const { environment } = target;
    let watch = this.watches.get(environment);
    if (!watch) {
      watch = new Watch(environment, this.query, this.book, this.log, () => this.watches.delete(environment));
      this.watches.set(environment, watch);
    }
    return watch.wait(target, applied, this.stopping ? 0 : milliseconds);
  }
}

/** One environment's replicas, while somebody waits for them. */
class Watch {
  private readonly waiters = new Set<Waiter>();
  private rows: Position[] | null = null;
  /** revision that is known: rows are some time old, and what is waited for is published */
  private newest = 0;
  private looking = false;
  private settling = false;

  constructor(
    private readonly environment: string,
    private readonly query: Query,
    private readonly book: FleetBook,
    private readonly log: Logger,
    private readonly onIdle: () => void,
  ) {}

  wait(target: Target, applied: Applied, milliseconds: number): Promise<Position[]> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.waiters.delete(waiter);
        resolve(waiter.missing);
      };
      const waiter: Waiter = { ...target, applied, missing: [], settle: end };
      const timer = setTimeout(() => this.giveUp(waiter), Math.max(0, milliseconds));
      this.waiters.add(waiter);
      this.newest = Math.max(this.newest, target.revision);
      this.moved();
      if (!this.looking) void this.look();
    });
  }

  end(): void {
    for (const waiter of this.waiters) this.giveUp(waiter);
  }

  private giveUp(waiter: Waiter): void {
    waiter.missing = this.missingOf(waiter);
    waiter.settle();
  }

  /** Once for all that has moved in one turn. */
  moved(): void {
    if (this.settling || this.rows === null) return;
    this.settling = true;
    setImmediate(() => {
      this.settling = false;
      for (const waiter of this.waiters) {
        waiter.missing = this.missingOf(waiter);
        if (waiter.missing.length === 0) waiter.settle();
      }
    });
  }

  private missingOf({ applied, revision }: Waiter): Position[] {
    // nothing could be read: nobody is known to have it
    const rows = this.rows ?? [{ replica: '*', region: '*', revision: 0, strange: false }];
    const positions = rows.map((row) => ({ ...row, revision: this.book.revisionOf(row.replica) ?? row.revision }));
    return missingFor(this.rows ? applied : { by: 'all' }, revision, positions, this.newest);
  }

  private async look(): Promise<void> {
    this.looking = true;
    while (this.waiters.size > 0) {
      try {
        const rows = await this.query<Position & { newest: number }>(POSITIONS, [this.environment]);
        this.rows = rows;
        this.newest = Math.max(this.newest, rows[0]?.newest ?? 0);
        this.moved();
      } catch (error) {
        this.log.debug({ cause: (error as Error).message }, 'where replicas stand cannot be read; it is tried again');
      }
      await sleep(LOOK_MS);
    }
    this.looking = false;
    this.onIdle();
  }
}

const POSITIONS = `
  SELECT r.id AS replica, r.region_id AS region, coalesce(r.revision, 0)::float8 AS revision, ${STRANGE} AS strange,
         c.revision::float8 AS newest
  FROM replica r JOIN region g ON g.id = r.region_id ${ITS_CHAIN} WHERE g.environment_id = $1 ORDER BY r.id`;
