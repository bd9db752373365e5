import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, type HelioError, type TokenAlgorithm } from '#model';
import { DataSource } from 'typeorm';
import type { MasterConfig } from '../../config/config.js';
import { CONFIG } from '../../config/tokens.js';
import { onViolation } from '../../database/constraints.js';
import { EnvironmentRow } from '../../database/entities.js';
import { decodeCursor, type Page, type PageRequest, toPage } from '../../http/paging.js';
import { matchIfGiven, requireMatch } from '../../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../../http/request.js';
import { clientMark, issuerMark } from '../../publishing/index.js';
import type { Query } from '../../publishing/options.js';
import { Writes } from '../../writes/writes.js';
import { OwnIssuer } from '../own-issuer.js';
import { type FetchedKeys, fetchKeys, freshForMs, type IssuerSource } from './fetch-keys.js';
import { Unavailable } from '../../outbound/guarded-agent.js';
import { auditOfIssuer, ISSUER_COLUMNS, type IssuerRow, issuerViewOf, oneIssuer } from './issuer-rows.js';
import type { IssuerView } from './issuers.endpoints.js';
import { KeyRefresher } from './key-refresher.js';
import { Reachable } from '../../outbound/reachable.js';

interface IssuerFields {
  jwksUri: string | null;
  audiences: string[];
  claim: string;
  algorithms: TokenAlgorithm[];
}

/** Issuers outside whose tokens an environment trusts. Their keys are fetched before a transaction begins, never in one. */
@Injectable()
export class IssuersService {
  private readonly reachable: Reachable;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(CONFIG) config: MasterConfig,
    private readonly writes: Writes,
    private readonly own: OwnIssuer,
    private readonly refresher: KeyRefresher,
  ) {
    this.reachable = new Reachable(config.HELIO_ISSUER_NETWORKS, 'HELIO_ISSUER_NETWORKS');
  }

  async create(
    caller: Caller,
    environment: string,
    fields: IssuerFields & { issuer: string },
  ): Promise<Answer<IssuerView>> {
    const { issuer, jwksUri, audiences, claim, algorithms } = fields;
    await this.requireEnvironment(environment);
    if (issuer === (await this.own.name()))
      throw fail('conflict', 'that is the name of this master, whose tokens are trusted as it is', {
        fields: [{ field: 'issuer', problem: 'is this master' }],
      });
    const fetched = await this.fetch({ ...fields, etag: null, fetchedFrom: null });
    return this.writes.run(caller, async (tx) => {
      const id = randomUUID();
      await onViolation(
        tx.manager.query(
          `INSERT INTO token_issuer (id, environment_id, issuer, jwks_uri, audiences, claim, algorithms, keys, refused, etag, fetched_from,
             fetched_at, next_fetch_at, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now(), now() + $12 * interval '1 ms', $13)`,
          [
            id,
            environment,
            issuer,
            jwksUri,
            audiences,
            claim,
            algorithms,
            JSON.stringify(fetched.found.keys),
            JSON.stringify(fetched.found.refused),
            fetched.etag,
            fetched.fetchedFrom,
            freshForMs(fetched.maxAge, Math.random),
            caller.actor,
          ],
        ),
        {
          token_issuer_environment_id_issuer_key: () =>
            fail('conflict', `the environment "${environment}" has the issuer ${issuer} already`, {
              fields: [{ field: 'issuer', problem: 'is there' }],
            }),
          token_issuer_environment_id_fkey: () => noSuchEnvironment(environment),
        },
      );
      const row = await oneIssuer(tx.manager, environment, id);
      tx.mark([environment], issuerMark(issuer));
      tx.audit({ action: 'issuer.create', target: `issuer/${id}`, after: auditOfIssuer(row) });
      return created(issuerViewOf(row), `/v1/environments/${environment}/issuers/${id}`, String(row.version));
    });
  }

  async list(environment: string, page: PageRequest): Promise<Answer<Page<IssuerView>>> {
    await this.requireEnvironment(environment);
    const after = decodeCursor(page.cursor, 1);
    const rows: IssuerRow[] = await this.source.query(
      `SELECT ${ISSUER_COLUMNS} FROM token_issuer t WHERE t.environment_id = $1 AND ($2::text IS NULL OR t.issuer > $2) ORDER BY t.issuer LIMIT $3`,
      [environment, after?.[0] ?? null, page.limit + 1],
    );
    return ok(toPage(rows, page.limit, ({ issuer }) => [issuer], issuerViewOf));
  }

  async get(environment: string, id: string): Promise<Answer<IssuerView>> {
    return answerOf(await oneIssuer(this.source.manager, environment, id));
  }

  /** For metrics. */
  failures(query: Query): Promise<{ environment: string; issuer: string; failures: number }[]> {
    return query('SELECT environment_id AS environment, issuer, failures FROM token_issuer');
  }

  async update(
    caller: Caller,
    environment: string,
    id: string,
    change: Partial<IssuerFields>,
  ): Promise<Answer<IssuerView>> {
    const seen = await oneIssuer(this.source.manager, environment, id);
    requireMatch(caller, String(seen.version));
    const anew = change.jwksUri !== undefined || change.algorithms !== undefined;
    const fetched = anew ? await this.fetch({ ...seen, ...change, etag: null, fetchedFrom: null }) : null;
    return this.writes.run(caller, async (tx) => {
      const row = await oneIssuer(tx.manager, environment, id, true);
      requireMatch(caller, String(row.version));
      // what was fetched is of the issuer as it was seen
      if (fetched) requireMatch({ ...caller, ifMatch: String(seen.version) }, String(row.version));
      const { jwksUri, audiences, claim, algorithms } = { ...row, ...change };
      await tx.manager.query(
        `UPDATE token_issuer SET jwks_uri = $2, audiences = $3, claim = $4, algorithms = $5, version = version + 1 WHERE id = $1`,
        [id, jwksUri, audiences, claim, algorithms],
      );
      if (fetched) await this.refresher.keep(tx.manager, { ...row, version: row.version + 1 }, fetched);
      const saved = await oneIssuer(tx.manager, environment, id);
      tx.mark([environment], issuerMark(row.issuer));
      tx.audit({
        action: 'issuer.update',
        target: `issuer/${id}`,
        before: auditOfIssuer(row),
        after: auditOfIssuer(saved),
      });
      return answerOf(saved);
    });
  }

  async refresh(caller: Caller, environment: string, id: string): Promise<Answer<IssuerView>> {
    const row = await oneIssuer(this.source.manager, environment, id);
    let fetched: FetchedKeys;
    try {
      fetched = await fetchKeys(row, this.reachable);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      await this.refresher.failed(row, error.message);
      throw unavailable(error);
    }
    return this.writes.run(caller, async (tx) => {
      await this.refresher.apply(tx, row, fetched);
      return answerOf(await oneIssuer(tx.manager, environment, id));
    });
  }

  delete(caller: Caller, environment: string, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      // who is about to bind a client to it waits, and then finds it gone
      const row = await oneIssuer(tx.manager, environment, id, true);
      matchIfGiven(caller, String(row.version));
      const clients: { chain_id: Buffer }[] = await tx.manager.query(
        'SELECT chain_id FROM outside_client WHERE issuer_id = $1 AND revoked_at IS NULL',
        [id],
      );
      tx.mark([environment], issuerMark(row.issuer), ...clients.map(({ chain_id: chainId }) => clientMark(chainId)));
      await tx.manager.query('DELETE FROM token_issuer WHERE id = $1', [id]);
      const before = { ...auditOfIssuer(row), clients: clients.length };
      tx.audit({ action: 'issuer.delete', target: `issuer/${id}`, before });
      return noContent();
    });
  }

  /** Of an issuer of which nothing is kept yet. @throws HelioError `issuer_unavailable` */
  private async fetch(source: IssuerSource): Promise<FetchedKeys & { found: NonNullable<FetchedKeys['found']> }> {
    try {
      const { found, ...fetched } = await fetchKeys(source, this.reachable);
      if (!found)
        throw new Unavailable(`${fetched.fetchedFrom} answered that nothing has changed, and was not asked that`);
      return { ...fetched, found };
    } catch (error) {
      throw error instanceof Unavailable ? unavailable(error, source) : error;
    }
  }

  private async requireEnvironment(id: string): Promise<void> {
    if (!(await this.source.manager.existsBy(EnvironmentRow, { id }))) throw noSuchEnvironment(id);
  }
}

const answerOf = (row: IssuerRow): Answer<IssuerView> => ok(issuerViewOf(row), String(row.version));

function unavailable({ message }: Unavailable, source?: IssuerSource): HelioError {
  const field = source?.jwksUri ? 'jwksUri' : 'issuer';
  return fail('issuer_unavailable', message, source ? { fields: [{ field, problem: message }] } : {});
}

function noSuchEnvironment(id: string): HelioError {
  return fail('not_found', `there is no environment "${id}"`);
}
