import { Controller } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, type SyncState } from '#model';
import { DataSource } from 'typeorm';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { type Answer, ok } from '../http/request.js';
import { type Convergence, getConvergence } from './convergence.endpoints.js';
import { convergenceOf } from './convergence.js';
import { FleetBook } from './fleet-book.js';
import { CONNECTED, ITS_CHAIN, SILENT, STRANGE } from './fleet-sql.js';

@Controller()
export class ConvergenceController {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly book: FleetBook,
  ) {}

  @Route(getConvergence)
  async get(
    @Input() { params: { environment, revision } }: InputOf<typeof getConvergence>,
  ): Promise<Answer<Convergence>> {
    const regions: { id: string }[] = await this.source.query(
      'SELECT id FROM region WHERE environment_id = $1 ORDER BY id',
      [environment],
    );
    const rows: Row[] = await this.source.query(STANDINGS, [environment]);
    // of those that are connected here newer ones are in memory; the chain is read after them
    const inMemory = new Map(rows.map(({ id }) => [id, this.book.revisionOf(id)]));
    const { issuedAt, newest } = await this.find(environment, revision);
    const replicas = rows.map((row) => ({
      ...row,
      revision: inMemory.get(row.id) ?? numberOf(row.revision),
      rootRevision: numberOf(row.rootRevision),
    }));
    return ok(
      convergenceOf(
        { environment, revision, issuedAt, newest },
        regions.map(({ id }) => id),
        replicas,
      ),
    );
  }

  /** One that came with a snapshot has no row of its own. */
  private async find(environment: string, revision: number): Promise<{ issuedAt: Date | null; newest: number }> {
    const rows: { head: string | null; issued_at: Date | null }[] = await this.source.query(
      `SELECT c.revision AS head, r.issued_at FROM environment e LEFT JOIN chain c ON c.environment_id = e.id
         LEFT JOIN revision r ON r.environment_id = e.id AND r.revision = $2 WHERE e.id = $1`,
      [environment, revision],
    );
    const [row] = rows;
    if (!row) throw fail('not_found', `there is no environment "${environment}"`);
    const newest = Number(row.head ?? 0);
    if (revision > newest) throw fail('not_found', `"${environment}" has no revision ${revision}; it is at ${newest}`);
    return { issuedAt: row.issued_at, newest };
  }
}

interface Row {
  id: string;
  region: string;
  revision: string | null;
  positionAt: Date | null;
  state: SyncState | null;
  connected: boolean;
  silentFor: number | null;
  root: string | null;
  rootRevision: string | null;
  expectedRoot: string | null;
  strange: boolean;
}

const STANDINGS = `
  SELECT r.id, r.region_id AS region, r.revision, r.position_at AS "positionAt", r.status->>'state' AS state, ${CONNECTED} AS connected,
         ${SILENT} AS "silentFor", r.status->>'root' AS root, r.status->>'revision' AS "rootRevision", encode(own.root, 'hex') AS "expectedRoot",
         ${STRANGE} AS strange
  FROM replica r JOIN region g ON g.id = r.region_id ${ITS_CHAIN}
  WHERE g.environment_id = $1 ORDER BY r.id`;

function numberOf(text: string | null): number | null {
  return text === null ? null : Number(text);
}
