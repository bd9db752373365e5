import { hash, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { encodeJson, newKeySecret, secretHash } from '#model';
import { applicationMark, type Entry, keyMark, placementMark, planMark } from '../publishing/index.js';

/** Rows and markers in one transaction, as the master's services write them, without the services. */
export class ChainWriter {
  constructor(private readonly pool: pg.Pool) {}

  /** @returns the transaction's id */
  async write(work: (tx: ChainTx) => Promise<void>): Promise<string> {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      const tx = new ChainTx(client);
      await work(tx);
      const { rows } = await client.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
      await client.query('COMMIT');
      return rows[0]?.xid ?? '';
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  }

  async environment(id: string): Promise<void> {
    await this.pool.query('INSERT INTO environment (id, position) VALUES ($1, 1)', [id]);
  }

  /** An API with nothing in it, on which releases can be made. */
  async api(name: string): Promise<string> {
    const id = `${name}:v1`;
    await this.pool.query(
      `INSERT INTO api (id, name, version, context, created_by) VALUES ($1, $2, 'v1', $3, 'test')`,
      [id, name, `/${name}/v1`],
    );
    return id;
  }

  /** @returns its digest */
  async release(api: string, more: object = {}): Promise<Buffer> {
    const [name, version] = api.split(':');
    const definition = encodeJson({ name, version, ...more });
    const digest = hash('sha256', definition, 'buffer');
    await this.pool.query(
      `INSERT INTO release (digest, api_id, definition, plans, routes, created_by) VALUES ($1, $2, $3, '{}', 1, 'ann')`,
      [digest, api, definition],
    );
    return digest;
  }
}

export class ChainTx {
  constructor(readonly client: pg.PoolClient) {}

  async mark(environment: string, ...marks: Entry[]): Promise<void> {
    for (const { table, key } of marks) {
      await this.client.query('INSERT INTO outbox (environment_id, table_id, key) VALUES ($1, $2, $3)', [
        environment,
        table,
        key,
      ]);
    }
  }

  async plan(environment: string, id: string, limit: number): Promise<void> {
    await this.client.query(
      'INSERT INTO plan (id, rate) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET rate = excluded.rate',
      [id, { limit, per: 'second' }],
    );
    await this.mark(environment, planMark(id));
  }

  async application(name: string): Promise<string> {
    const id = randomUUID();
    await this.client.query('INSERT INTO application (id, name) VALUES ($1, $2)', [id, name]);
    return id;
  }

  async subscribe(environment: string, application: string, api: string, plan: string): Promise<void> {
    await this.client.query(
      'INSERT INTO subscription (id, application_id, api_id, plan_id) VALUES ($1, $2, $3, $4) ON CONFLICT (application_id, api_id) DO UPDATE SET plan_id = excluded.plan_id',
      [randomUUID(), application, api, plan],
    );
    await this.mark(environment, applicationMark(application));
  }

  /** @returns its secret, and its id on the chain */
  async key(environment: string, application: string): Promise<{ secret: string; chainId: Buffer }> {
    const secret = newKeySecret();
    const hashed = secretHash(secret);
    const chainId = hashed.subarray(0, 16);
    await this.client.query(
      `INSERT INTO api_key (id, application_id, environment_id, hash, created_by) VALUES ($1, $2, $3, $4, 'test')`,
      [randomUUID(), application, environment, hashed],
    );
    await this.mark(environment, keyMark(chainId));
    return { secret, chainId };
  }

  async revoke(environment: string, chainId: Buffer): Promise<void> {
    await this.client.query('UPDATE api_key SET revoked_at = now() WHERE environment_id = $1 AND chain_id = $2', [
      environment,
      chainId,
    ]);
    await this.mark(environment, keyMark(chainId));
  }

  async removeApplication(environment: string, application: string): Promise<void> {
    const { rows } = await this.client.query<{ chain_id: Buffer }>(
      'SELECT chain_id FROM api_key WHERE application_id = $1 AND environment_id = $2',
      [application, environment],
    );
    await this.client.query('DELETE FROM application WHERE id = $1', [application]);
    await this.mark(
      environment,
      applicationMark(application),
      ...rows.map(({ chain_id: chainId }) => keyMark(chainId)),
    );
  }

  async place(environment: string, api: string, region: string, digest: Buffer | null): Promise<void> {
    if (digest) {
      await this.client.query(
        `INSERT INTO placement (environment_id, api_id, region, digest, updated_by) VALUES ($1, $2, $3, $4, 'test')
         ON CONFLICT (environment_id, api_id, region) DO UPDATE SET digest = excluded.digest`,
        [environment, api, region, digest],
      );
    } else {
      await this.client.query('DELETE FROM placement WHERE environment_id = $1 AND api_id = $2 AND region = $3', [
        environment,
        api,
        region,
      ]);
    }
    await this.mark(environment, placementMark(api, region));
  }
}
