import { DataSource, type DataSourceOptions } from 'typeorm';
import { ENTITIES } from './entities.js';
import { impatientClient } from './impatient-client.js';
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
import { ClientUse1760000000014 } from './migrations/0014-client-use.js';
import { Promotions1760000000020 } from './migrations/0020-promotions.js';
import { ReleaseNumbers1760000000021 } from './migrations/0021-release-numbers.js';
import { Events1760000000022 } from './migrations/0022-events.js';
import { Apply1760000000023 } from './migrations/0023-apply.js';
import { CountedSince1760000000024 } from './migrations/0024-counted-since.js';
import { WebhookSets1760000000026 } from './migrations/0026-webhook-sets.js';

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
  ClientUse1760000000014,
  Promotions1760000000020,
  ReleaseNumbers1760000000021,
  Events1760000000022,
  Apply1760000000023,
  CountedSince1760000000024,
  WebhookSets1760000000026,
];
/** Any number that nobody else takes: masters that start together migrate one after the other. */
const MIGRATION_LOCK = 4_711_001;

const CONNECT_MS = 5_000;
const LOCK_MS = 10_000;

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
      Client: impatientClient(),
      connectionTimeoutMillis: CONNECT_MS,
      // the kernel finds out whether anybody is there, where no question is open
      keepAlive: true,
      keepAliveInitialDelayMillis: 5_000,
      statement_timeout: 30_000,
      lock_timeout: LOCK_MS,
      idle_in_transaction_session_timeout: 60_000,
    },
  };
}

/** Brings the schema of the database at `url` to that of this build, once, however many masters start together. */
export async function migrate(url: string): Promise<void> {
  // by connections of its own: an index of a large table takes its time, and so does the master that is first; who waits for a
  // table keeps all others from it
  const extra = { connectionTimeoutMillis: CONNECT_MS, keepAlive: true, lock_timeout: LOCK_MS };
  const source = await new DataSource({ ...dataSourceOptions(url, 2), entities: [], extra }).initialize();
  const runner = source.createQueryRunner();
  try {
    await runner.connect();
    await runner.query(`SET lock_timeout = '120s'`);
    await runner.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    try {
      await source.runMigrations({ transaction: 'each' });
    } finally {
      await runner.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
    }
  } finally {
    await runner.release();
    await source.destroy();
  }
}
