import { Inject, Injectable } from '@nestjs/common';
import { fail, type HelioError, newToken, secretHash } from '#model';
import type { EntityManager } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG } from '../config/tokens.js';
import { type Answer, type Caller, created } from '../http/request.js';
import { trustOf } from '../publishing/index.js';
import { Writes } from '../writes/writes.js';
import type { Joined, JoinRequest } from './join.endpoints.js';

/** Replicas report every 5 s. */
const ALIVE_SECONDS = 20;

@Injectable()
export class JoinService {
  constructor(
    @Inject(CONFIG) private readonly config: MasterConfig,
    private readonly writes: Writes,
  ) {}

  /** @throws HelioError `join_token_invalid`, `conflict` */
  join(caller: Caller, request: JoinRequest): Promise<Answer<Joined>> {
    const { region, environment, build } = request;
    return this.writes.run(caller, async (tx) => {
      const { manager } = tx;
      // a use is counted by the same statement that finds one left, and given back when something below fails
      const [[used]]: [{ id: string }[], number] = await manager.query(USE, [
        secretHash(request.token),
        region,
        environment,
      ]);
      if (!used) throw await whyInvalid(manager, request);
      // replicas of one region join one after the other, and the region stays meanwhile
      await manager.query('SELECT FROM region WHERE id = $1 FOR NO KEY UPDATE', [region]);
      const replica = request.replica ?? (await freeId(manager, region));
      const before = await regionOf(manager, replica);
      if (before !== null && before !== region) throw taken(replica, ` in the region "${before}"`);
      if (before !== null) await refuseAlive(manager, replica);
      const token = newToken('hg_replica');
      const put: unknown[] = await manager.query(PUT, [replica, region, secretHash(token), build]);
      if (put.length === 0) throw taken(replica, ''); // just now, in another region
      tx.audit({
        action: 'replica.join',
        target: `replica/${replica}`,
        before: before === null ? null : { region: before },
        after: { region, environment, build, joinToken: used.id },
      });
      const { signer, ARTIFACT_STORE: store } = this.config;
      const { keys } = await trustOf((sql, values) => manager.query(sql, values), environment, signer.publicKey);
      const joined = { replica, token, environment, region, trustedKeys: [...keys], store };
      return created(joined, `/v1/replicas/${replica}`);
    });
  }
}

const USE = `
  UPDATE join_token t SET uses = uses + 1 FROM region g
  WHERE t.token_hash = $1 AND t.region_id = $2 AND g.id = t.region_id AND g.environment_id = $3 AND t.uses < t.max_uses AND t.expires_at > now()
  RETURNING t.id`;

/** Only who has the token learns what is wrong with it; to everybody else it is one that nobody made. */
async function whyInvalid(manager: EntityManager, { token, region, environment }: JoinRequest): Promise<HelioError> {
  const rows: { expired: boolean; used_up: boolean; max_uses: number; expires_at: Date }[] = await manager.query(
    'SELECT expires_at <= now() AS expired, uses >= max_uses AS used_up, max_uses, expires_at FROM join_token WHERE token_hash = $1',
    [secretHash(token)],
  );
  const [known] = rows;
  if (!known) return fail('join_token_invalid', 'there is no such join token; it may have been withdrawn');
  if (known.expired) return fail('join_token_invalid', `the join token expired at ${known.expires_at.toISOString()}`);
  if (known.used_up)
    return fail('join_token_invalid', `the join token has been used ${known.max_uses} of ${known.max_uses} times`);
  return fail(
    'join_token_invalid',
    `the join token is not for the region "${region}" of the environment "${environment}"`,
  );
}

/** `eu-west-3`: with the first number that is free. */
async function freeId(manager: EntityManager, region: string): Promise<string> {
  const rows: { id: string }[] = await manager.query(
    `SELECT $1::text || '-' || n AS id FROM generate_series(1, (SELECT count(*) + 1 FROM replica)) AS n
     WHERE NOT EXISTS (SELECT FROM replica WHERE id = $1::text || '-' || n) ORDER BY n LIMIT 1`,
    [region],
  );
  if (!rows[0]) throw new Error(`no id is free in the region ${region}`);
  return rows[0].id;
}

async function regionOf(manager: EntityManager, replica: string): Promise<string | null> {
  const rows: { region_id: string }[] = await manager.query('SELECT region_id FROM replica WHERE id = $1', [replica]);
  return rows[0]?.region_id ?? null;
}

/** Whoever has a join token of its region must not be able to take the place of a replica that runs. */
async function refuseAlive(manager: EntityManager, replica: string): Promise<void> {
  const rows: unknown[] = await manager.query(
    `SELECT FROM replica WHERE id = $1 AND reported_at > now() - interval '${ALIVE_SECONDS} seconds'`,
    [replica],
  );
  if (rows.length > 0) throw taken(replica, `, and has reported within the last ${ALIVE_SECONDS} s; stop it first`);
}

/** What it reported before it joined again says nothing about it any more. */
const PUT = `
  INSERT INTO replica (id, region_id, token_hash, build) VALUES ($1, $2, $3, $4)
  ON CONFLICT (id) DO UPDATE SET token_hash = excluded.token_hash, build = excluded.build, joined_at = now(),
    status = NULL, reported_at = NULL, connected_instance = NULL, connected_since = NULL, epoch = NULL, revision = NULL, position_at = NULL,
    lag_ms = NULL, state_since = NULL
  WHERE replica.region_id = excluded.region_id
  RETURNING id`;

function taken(replica: string, where: string): HelioError {
  return fail('conflict', `a replica "${replica}" exists already${where}`, {
    fields: [
      { field: 'replica', problem: `"${replica}" is taken`, expected: 'another id, or none for one that is free' },
    ],
  });
}
