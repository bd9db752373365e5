import { Controller } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, type SyncState } from '#model';
import { DataSource } from 'typeorm';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { type Answer, ok } from '../http/request.js';
import { type Convergence, getConvergence } from './convergence.endpoints.js';
import { convergenceOf } from './convergence.js';
import { FleetBook } from './fleet-book.js';
import { CONNECTED, SILENT } from './fleet-sql.js';

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
    const issuedAt = await this.issuedAt(environment, revision);
    const regions: { id: string }[] = await this.source.query(
      'SELECT id FROM region WHERE environment_id = $1 ORDER BY id',
      [environment],
    );
    const rows: Row[] = await this.source.query(STANDINGS, [environment]);
    const replicas = rows.map((row) => ({
      ...row,
      revision: this.book.revisionOf(row.id) ?? numberOf(row.revision), // those that are connected here are newer in memory
      rootRevision: numberOf(row.rootRevision),
    }));
    return ok(
      convergenceOf(
        { environment, revision, issuedAt },
        regions.map(({ id }) => id),
        replicas,
      ),
    );
  }

  private async issuedAt(environment: string, revision: number): Promise<Date> {
    const rows: { head: string | null; issued_at: Date | null }[] = await this.source.query(
      `SELECT c.revision AS head, r.issued_at FROM environment e LEFT JOIN chain c ON c.environment_id = e.id
         LEFT JOIN revision r ON r.environment_id = e.id AND r.revision = $2 WHERE e.id = $1`,
      [environment, revision],
    );
    const [row] = rows;
    if (!row) throw fail('not_found', `there is no environment "${environment}"`);
    if (!row.issued_at)
      throw fail('not_found', `"${environment}" has no revision ${revision}; it is at ${row.head ?? 0}`);
    return row.issued_at;
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
}

const STANDINGS = `
  SELECT r.id, r.region_id AS region, r.revision, r.position_at AS "positionAt", r.status->>'state' AS state, ${CONNECTED} AS connected,
         ${SILENT} AS "silentFor", r.status->>'root' AS root, r.status->>'revision' AS "rootRevision", encode(own.root, 'hex') AS "expectedRoot"
  FROM replica r JOIN region g ON g.id = r.region_id
    LEFT JOIN revision own ON own.environment_id = g.environment_id AND own.revision = (r.status->>'revision')::bigint
  WHERE g.environment_id = $1 ORDER BY r.id`;

function numberOf(text: string | null): number | null {
  return text === null ? null : Number(text);
}
