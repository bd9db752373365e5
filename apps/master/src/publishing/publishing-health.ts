import { Inject, Injectable } from '@nestjs/common';
import { PUBLISHING_OPTIONS, type PublishingOptions } from './options.js';
import type { Fence } from './office/fence.js';
import { lockHolders, lockOf } from './office/office-lock.js';
import type { PublisherStanding } from './publisher.js';
import { Publishers } from './publishers.js';
import type { StoreStanding } from './store/store-standing.js';

/** Counting goes no further: past it there are too many anyway. */
const MOST_COUNTED = 100_000;

export interface EnvironmentHealth {
  environment: string;
  /** whether this process publishes it */
  leader: boolean;
  /** the process that took office last; null: nobody ever did */
  leaderInstance: string | null;
  epoch: number;
  revision: number;
  /** up to there the artifact store has the chain; where another process leads, as that one remembered it last */
  storedRevision: number;
  /** markers that wait, 100000 for that many or more */
  outbox: number;
  /** of the oldest of them; 0 when none waits */
  outboxAgeSeconds: number;
  /** why this process does not publish, although it would */
  error: string | null;
  /** why nobody on this database may publish it; null: nothing is in the way */
  fence: Fence | null;
  /** what has to be known before this process, which has the office, publishes */
  waitsFor: string | null;
  /** null where another process leads */
  store: Pick<StoreStanding, 'state' | 'error'> | null;
}

/** Where each environment's publishing stands, for `/readyz` and `/metrics`. */
@Injectable()
export class PublishingHealth {
  constructor(
    @Inject(PUBLISHING_OPTIONS) private readonly options: PublishingOptions,
    private readonly publishers: Publishers,
  ) {}

  /** Environments that this process must never publish, as its signing key is not the one of their chains. */
  get refused(): string[] {
    return this.publishers.refused;
  }

  /** Environments that nobody on this database may publish: another master does. */
  get fences(): { environment: string; fence: Fence }[] {
    return this.publishers.fences;
  }

  standing(environment: string): PublisherStanding | undefined {
    return this.publishers.standing(environment);
  }

  /**
   * The environments that somebody publishes now: his term was let publish, and his session holds the office. A row alone
   * says it of a process that is dead, as in a dump that was read a moment ago.
   */
  async published(): Promise<ReadonlySet<string>> {
    const [entered, holders] = await Promise.all([
      this.options.query<{ environment: string; leader: string }>(ENTERED),
      lockHolders(this.options.query),
    ]);
    const isPublished = ({ environment, leader }: (typeof entered)[number]): boolean => {
      const holder = holders.get(lockOf(environment));
      const standing = this.standing(environment);
      // this process knows better: it may have the lock and no term yet, or a term whose connection was lost
      if (leader === this.options.instance || (holder !== undefined && holder === standing?.backend))
        return standing?.leader === true;
      return holder !== undefined;
    };
    return new Set(entered.filter(isPublished).map(({ environment }) => environment));
  }

  /** Why this process must not pass the chain of an environment on; null: it may. */
  refusal(environment: string): string | null {
    if (this.refused.includes(environment)) return `the chain of ${environment} is signed with another key`;
    const fenced = this.publishers.fences.find((one) => one.environment === environment);
    return fenced ? `the master is fenced off from ${environment}: ${fenced.fence.detail}` : null;
  }

  /** @param query by which connection it is asked, where that is not one of those that requests share */
  async environments(query = this.options.query): Promise<EnvironmentHealth[]> {
    const rows = await query<{
      id: string;
      epoch: number;
      revision: string;
      stored_revision: string;
      leader: string | null;
      waiting: string;
      age: number;
    }>(
      `SELECT e.id, coalesce(c.epoch, 0) AS epoch, coalesce(c.revision, 0) AS revision, coalesce(c.stored_revision, 0) AS stored_revision, c.leader,
              o.waiting, o.age
       FROM environment e LEFT JOIN chain c ON c.environment_id = e.id
       CROSS JOIN LATERAL (
         SELECT count(*) AS waiting, coalesce(extract(epoch FROM clock_timestamp() - min(m.created_at)), 0)::float8 AS age
         FROM (SELECT created_at FROM outbox WHERE environment_id = e.id ORDER BY xid, id LIMIT ${MOST_COUNTED}) AS m
       ) AS o
       ORDER BY e.position, e.id`,
    );
    return rows.map((row) => {
      const standing = this.publishers.standing(row.id);
      return {
        environment: row.id,
        leader: standing?.leader ?? false,
        leaderInstance: row.leader,
        epoch: row.epoch,
        revision: Number(row.revision),
        storedRevision: standing?.store?.revision ?? Number(row.stored_revision),
        outbox: Number(row.waiting),
        outboxAgeSeconds: row.age,
        error: standing?.error ?? null,
        fence: standing?.fence ?? null,
        waitsFor: standing?.waitsFor ?? null,
        store: standing?.store ? { state: standing.store.state, error: standing.store.error } : null,
      };
    });
  }
}

const ENTERED =
  'SELECT environment_id AS environment, leader FROM chain WHERE entered_epoch = epoch AND leader IS NOT NULL';
