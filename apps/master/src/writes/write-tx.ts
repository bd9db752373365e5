import type { EntityManager } from 'typeorm';
import type { Caller } from '../http/request.js';

/** Names an entry of a chain that a write may have changed (publishing/marks.ts makes them). */
export interface Mark {
  table: number;
  key: Buffer;
}

/** One line of the audit log. `before` and `after` hold no secrets. */
export interface AuditEntry {
  /** `<kind>.<verb>`: `plan.create` */
  action: string;
  /** `<kind>/<id>`: `plan/gold` */
  target: string;
  before?: object | null;
  after?: object | null;
}

const ALL = 'all';

/** What a write does inside its one transaction: rows through `manager`, markers for the chain, lines for the audit log. */
export class WriteTx {
  private readonly marks: { environment: string; table: number; key: string }[] = [];
  private readonly lines: AuditEntry[] = [];

  constructor(
    readonly manager: EntityManager,
    readonly caller: Caller,
  ) {}

  /** Marks entries as changed in the given environments, or in all that exist. */
  mark(environments: readonly string[] | typeof ALL, ...marks: Mark[]): void {
    for (const { table, key } of marks) {
      for (const environment of environments === ALL ? [ALL] : environments)
        this.marks.push({ environment, table, key: key.toString('hex') });
    }
  }

  audit(entry: AuditEntry): void {
    this.lines.push(entry);
  }

  /**
   * Writes markers and audit lines, in one statement.
   *
   * @returns the transaction's id, and the environments that have markers of it
   */
  async flush(): Promise<{ xid: string; environments: string[] }> {
    const rows: { xid: string; environments: string[] }[] = await this.manager.query(FLUSH, [
      JSON.stringify(this.marks),
      JSON.stringify(this.lines),
      this.caller.actor,
      this.caller.role,
      this.caller.requestId,
    ]);
    const row = rows[0];
    if (!row) throw new Error('the flush of a write answered nothing');
    return row;
  }
}

// an environment cannot be called 'all': its id would be taken for every one (topology refuses it)
const FLUSH = `
  WITH mark AS (
    SELECT DISTINCT e.id AS environment, m."table", decode(m.key, 'hex') AS key
    FROM jsonb_to_recordset($1::jsonb) AS m(environment text, "table" smallint, key text)
    JOIN environment e ON m.environment IN (e.id, '${ALL}')
  ), marked AS (
    INSERT INTO outbox (environment_id, table_id, key) SELECT environment, "table", key FROM mark RETURNING environment_id
  ), audited AS (
    INSERT INTO audit (actor, role, action, target, before, after, request_id, xid)
    SELECT $3, $4, a.action, a.target, a.before, a.after, $5, pg_current_xact_id()::text::bigint
    FROM jsonb_to_recordset($2::jsonb) AS a(action text, target text, before jsonb, after jsonb)
  )
  SELECT pg_current_xact_id()::text AS xid, coalesce((SELECT array_agg(DISTINCT environment_id ORDER BY environment_id) FROM marked), '{}') AS environments`;
