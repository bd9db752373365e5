import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What replicas have counted, packed for questions about many days of many subscriptions; and when keys were last used. */
export class Usage1760000000010 implements MigrationInterface {
  readonly name = 'Usage1760000000010';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const SLOTS = 'admitted bigint[], rate_limited bigint[], quota_exhausted bigint[]';

const STATEMENTS = [
  // one run of a replica. Nothing here refers to replicas, regions or applications: what was used outlives them
  `CREATE TABLE usage_series (
     id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     series uuid NOT NULL,
     replica text NOT NULL,
     region text NOT NULL,
     environment text NOT NULL,
     reported_at timestamptz NOT NULL DEFAULT now(),
     UNIQUE (series, replica, region, environment)
   )`,
  // what is counted: a subscription, or (the nil UUID) an open API
  `CREATE TABLE usage_subject (
     id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     subscription uuid NOT NULL,
     application uuid,
     api text NOT NULL,
     UNIQUE (subscription, api)
   )`,
  `CREATE INDEX usage_subject_by_application ON usage_subject (application)`,
  `CREATE INDEX usage_subject_by_api ON usage_subject (api)`,
  // the hours of a day in one row, 24 slots (null: all are 0): a row an hour would be ten times as large, and as slow
  `CREATE TABLE usage_day (day date NOT NULL, subject integer NOT NULL, series integer NOT NULL, ${SLOTS},
     PRIMARY KEY (day, subject, series)) WITH (fillfactor = 90)`,
  // the days of a month in one row, 31 slots: the same sums
  `CREATE TABLE usage_month (month date NOT NULL, subject integer NOT NULL, series integer NOT NULL, ${SLOTS},
     PRIMARY KEY (month, subject, series)) WITH (fillfactor = 90)`,
  // the same sums again, of all subscriptions of an API in a region: 24 slots
  `CREATE TABLE usage_api_day (day date NOT NULL, environment text NOT NULL, region text NOT NULL, api text NOT NULL, ${SLOTS},
     PRIMARY KEY (day, environment, region, api)) WITH (fillfactor = 70)`,
  // `slots`, of which there are \`size\`, with \`more\` added to one, counted from 1
  `CREATE FUNCTION usage_add(slots bigint[], size integer, slot integer, more bigint) RETURNS bigint[]
     LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
     BEGIN
       IF more IS NULL OR more = 0 THEN RETURN slots; END IF;
       IF slots IS NULL THEN slots := array_fill(0::bigint, ARRAY[size]); END IF;
       slots[slot] := slots[slot] + more;
       RETURN slots;
     END $$`,
  // coarse: the hour in which it was used last, as far as replicas have told
  `ALTER TABLE api_key ADD COLUMN last_used_at timestamptz`,
];
