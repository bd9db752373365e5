import type { EntityManager } from 'typeorm';
import { plainArray } from '../database/arrays.js';
import { prepared } from '../database/prepared.js';
import type { NewEvent } from '../events/event-kinds.js';
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

/** What one request writes inside a transaction: rows through `manager`, markers for the chain, lines for the audit log, events. */
export class WriteTx {
  /** by environment, table and key: to mark twice is to mark once */
  private readonly marks = new Map<string, Mark & { environment: string }>();
  private readonly lines: AuditEntry[] = [];
  private readonly events: NewEvent[] = [];

  constructor(
    readonly manager: EntityManager,
    readonly caller: Caller,
  ) {}

  /** Marks entries as changed in the given environments, or in all that exist. */
  mark(environments: readonly string[] | typeof ALL, ...marks: Mark[]): void {
    for (const { table, key } of marks) {
      for (const environment of environments === ALL ? [ALL] : environments)
        this.marks.set(`${environment} ${table} ${key.toString('latin1')}`, { environment, table, key });
    }
  }

  /** What was marked, in whichever environment. */
  get marked(): readonly Mark[] {
    return [...this.marks.values()];
  }

  audit(entry: AuditEntry): void {
    this.lines.push(entry);
  }

  /** Tells who listens, once it is committed. Whoever writes of a subject has locked it, so that its events have an order. */
  event(event: NewEvent): void {
    this.events.push(event);
  }

  get hasEvents(): boolean {
    return this.events.length > 0;
  }

  /**
   * Writes markers, audit lines and events of requests that share a transaction, in one statement.
   *
   * @returns the transaction's id, and the environments that have markers of it
   */
  static async flush(manager: EntityManager, requests: readonly WriteTx[]): Promise<Flushed> {
    const marks = [...new Map(requests.flatMap((request) => [...request.marks])).values()];
    const lines = requests.flatMap(({ caller, lines }) => {
      const { actor, role, requestId } = caller;
      return lines.map((line) => ({ ...line, actor, role, request_id: requestId }));
    });
    const events = requests.flatMap(({ caller: { actor }, events }) => events.map((event) => ({ ...event, actor })));
    const [row] = await prepared<Flushed>(manager, FLUSH, [
      plainArray(marks.map(({ environment }) => environment)),
      plainArray(marks.map(({ table }) => table)),
      marks.map(({ key }) => key),
      JSON.stringify(lines),
      JSON.stringify(events),
    ]);
    if (!row) throw new Error('the flush of a write answered nothing');
    return row;
  }
}

export interface Flushed {
  /** in decimal */
  xid: string;
  environments: string[];
}

/**
 * The parts of a WITH that write markers, audit lines and events, for statements that bring these along themselves. They
 * name what follows `marked`, the markers that were written.
 *
 * @param marks a query for environment, table and key; an environment cannot be called 'all': its id would be taken for
 *   every one (topology refuses it)
 * @param lines a query for actor, role, action, target, before, after and request id of audit lines
 * @param events a query for type, subject, environment, actor and data of events
 */
export function flushing(marks: string, lines: string, events: string): string {
  return `
    marked AS (
      INSERT INTO outbox (environment_id, table_id, key)
      SELECT DISTINCT e.id, m."table", m.key
      FROM (${marks}) AS m(environment, "table", key) JOIN environment e ON m.environment IN (e.id, '${ALL}')
      RETURNING environment_id
    ), audited AS (
      INSERT INTO audit (actor, role, action, target, before, after, request_id, xid)
      SELECT a.actor, a.role, a.action, a.target, a.before, a.after, a.request_id, ${XID}::bigint FROM (${lines})
        AS a(actor, role, action, target, before, after, request_id)
    ), told AS (
      INSERT INTO event (type, subject, environment_id, actor, data)
      SELECT t.type, t.subject, t.environment, t.actor, t.data FROM (${events}) AS t(type, subject, environment, actor, data)
    )`;
}

/** The id of the transaction, in decimal. */
export const XID = 'pg_current_xact_id()::text';

const FLUSH = {
  name: 'write_flush',
  text: `
    WITH ${flushing(
      'SELECT * FROM unnest($1::text[], $2::smallint[], $3::bytea[])',
      `SELECT * FROM jsonb_to_recordset($4::jsonb)
         AS a(actor text, role text, action text, target text, before jsonb, after jsonb, request_id text)`,
      `SELECT * FROM jsonb_to_recordset($5::jsonb) AS t(type text, subject text, environment text, actor text, data jsonb)`,
    )}
    SELECT ${XID} AS xid, coalesce((SELECT array_agg(DISTINCT environment_id ORDER BY environment_id) FROM marked), '{}') AS environments`,
};
