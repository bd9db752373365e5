import { DataSource, type DataSourceOptions } from 'typeorm';
import { ENTITIES } from './entities.js';
import { First1760000000001 } from './migrations/0001-first.js';
import { Office1760000000002 } from './migrations/0002-office.js';
import { Fleet1760000000003 } from './migrations/0003-fleet.js';
import { Store1760000000005 } from './migrations/0005-store.js';
import { XidFloor1760000000006 } from './migrations/0006-xid-floor.js';
import { EnteredEpoch1760000000007 } from './migrations/0007-entered-epoch.js';
import { Usage1760000000010 } from './migrations/0010-usage.js';
import { OAuth1760000000011 } from './migrations/0011-oauth.js';
import { Credentials1760000000012 } from './migrations/0012-credentials.js';
import { PlanScopes1760000000013 } from './migrations/0013-plan-scopes.js';

const MIGRATIONS = [
  First1760000000001,
  Office1760000000002,
  Fleet1760000000003,
  Store1760000000005,
  XidFloor1760000000006,
  EnteredEpoch1760000000007,
  Usage1760000000010,
  OAuth1760000000011,
  Credentials1760000000012,
  PlanScopes1760000000013,
];
/** Any number that nobody else takes: masters that start together migrate one after the other. */
const MIGRATION_LOCK = 4_711_001;

/** @param poolSize connections that requests share; the publisher and the listener have their own */
export function dataSourceOptions(url: string, poolSize: number): DataSourceOptions {
  return {
    type: 'postgres',
    url,
    entities: ENTITIES,
    migrations: MIGRATIONS,
    synchronize: false,
    logging: false,
    poolSize,
    applicationName: 'helio-master',
    extra: {
      connectionTimeoutMillis: 5000,
      statement_timeout: 30_000,
      lock_timeout: 10_000,
      idle_in_transaction_session_timeout: 60_000,
    },
  };
}

/** Brings the database's schema to that of this build, once, however many masters start together. */
export async function migrate(source: DataSource): Promise<void> {
  const runner = source.createQueryRunner();
  try {
    await runner.connect();
    await runner.query(`SET lock_timeout = '120s'`);
    await runner.query(`SET statement_timeout = 0`);
    await runner.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    try {
      await source.runMigrations({ transaction: 'each' });
    } finally {
      await runner.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
      await runner.query('RESET lock_timeout');
      await runner.query('RESET statement_timeout');
    }
  } finally {
    await runner.release();
  }
}

/** Migrates the database at `url` and leaves: for tests and tools. */
export async function migrateUrl(url: string): Promise<void> {
  const source = await new DataSource(dataSourceOptions(url, 2)).initialize();
  try {
    await migrate(source);
  } finally {
    await source.destroy();
  }
}
