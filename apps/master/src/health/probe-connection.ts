import { Inject, Injectable, type OnApplicationShutdown, Scope } from '@nestjs/common';
import pg from 'pg';
import type { MasterConfig } from '../config/config.js';
import { CONFIG } from '../config/tokens.js';
import { type EnvironmentHealth, PublishingHealth } from '../publishing/index.js';

/** Probes are given three seconds: whoever asks is told by then, whatever PostgreSQL does. */
const ANSWER_MS = 2_000;

/**
 * What `/readyz` and `/metrics` ask the database by. Requests that wait for a lock may have every connection of theirs, and
 * say nothing of whether PostgreSQL answers. This one is kept open, as a server may have none left when it is asked for.
 * Each of the two has its own: a scrape that takes long makes nobody unready.
 */
@Injectable({ scope: Scope.TRANSIENT })
export class ProbeConnection implements OnApplicationShutdown {
  private readonly pool: pg.Pool;
  private asked: Promise<EnvironmentHealth[]> | undefined;

  constructor(
    @Inject(CONFIG) config: MasterConfig,
    private readonly publishing: PublishingHealth,
  ) {
    this.pool = new pg.Pool({
      connectionString: config.DATABASE_URL,
      application_name: 'helio-health',
      max: 1,
      idleTimeoutMillis: 0,
      connectionTimeoutMillis: ANSWER_MS,
      statement_timeout: ANSWER_MS,
      query_timeout: ANSWER_MS, // a connection that hangs is closed then, and the next probe makes another one
    });
    this.pool.on('error', () => undefined); // broken while nobody used it: the pool makes another one
  }

  /** @throws whatever PostgreSQL says, or that it does not answer within two seconds, those before the question was sent among them */
  readonly query = async <T extends object>(sql: string, parameters?: unknown[]): Promise<T[]> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`PostgreSQL did not answer within ${ANSWER_MS} ms`)), ANSWER_MS);
    });
    try {
      return (await Promise.race([this.pool.query<T>(sql, parameters), late])).rows;
    } finally {
      clearTimeout(timer);
    }
  };

  /** Where publishing stands. Whoever asks while it is asked has the same answer: anybody may ask, as often as he likes. */
  environments(): Promise<EnvironmentHealth[]> {
    this.asked ??= this.publishing.environments(this.query).finally(() => (this.asked = undefined));
    return this.asked;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }
}
