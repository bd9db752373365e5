import { Socket } from 'node:net';
import pg from 'pg';

/** A statement that each session prepares once, under its name. */
export interface Statement {
  name: string;
  text: string;
}

export type Isolation = 'READ COMMITTED' | 'REPEATABLE READ';

/** Longer than any statement may take by itself: past it the connection, and not the statement, is what hangs. */
const HANGS_MS = 75_000;
const CONNECT_MS = 5_000;
const END_MS = 1_000;

/**
 * Statement by statement, and not as start-up options, which poolers refuse.
 * - Publishing looks up few or many rows, by their keys, in tables that grow from nothing to millions between two
 *   ANALYZEs. Plans that follow the statistics turn into scans, or loops within loops: so there is one plan for each
 *   statement, made for any number of rows, and each is written as look-ups (LATERAL, kept as it is by OFFSET 0).
 * - A leader whose machine vanished holds its lock until PostgreSQL notices: within 25 seconds.
 * - What was published must not be forgotten in a crash: replicas never go back.
 */
const SETTINGS = `
  SET statement_timeout = '60s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s';
  SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan;
  SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 25000;
  SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`;

/**
 * One connection of its own, for what rests on the session: a lock that it holds, or channels that it listens to.
 *
 * Statements are sent when they are asked for, and answered in that order: those that are not waited for share a round
 * trip. When one fails, those behind it in the same transaction do as well, so the first error is the one that counts.
 */
export class Session {
  /** why the connection is of no use any more */
  lost: Error | undefined;
  private readonly onLost: (() => void)[] = [];

  private constructor(
    private readonly client: pg.Client,
    private readonly socket: Socket,
  ) {
    client.on('error', (error) => this.lose(error));
    client.on('end', () => this.lose(new Error('PostgreSQL closed the connection')));
  }

  /** @param application what PostgreSQL shows as the session's name */
  static async open(url: string, application: string): Promise<Session> {
    const socket = new Socket();
    const client = new pg.Client({
      connectionString: url,
      application_name: application,
      connectionTimeoutMillis: CONNECT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5_000,
      pipeline: true, // statements that need not wait for each other's rows share a round trip
      stream: () => socket,
    });
    const session = new Session(client, socket);
    try {
      await client.connect();
      await session.run(SETTINGS);
      return session;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** PostgreSQL's process that serves it; undefined before it is connected */
  get processId(): number | undefined {
    return (this.client as unknown as { processID?: number }).processID;
  }

  /** Calls `listener` when the connection is lost, at once if it is already. */
  whenLost(listener: () => void): void {
    if (this.lost) listener();
    else this.onLost.push(listener);
  }

  onNotification(listener: (channel: string, payload: string) => void): void {
    this.client.on('notification', ({ channel, payload = '', processId }) => {
      if (processId !== this.processId) listener(channel, payload); // its own come back to it as well
    });
  }

  async rows<T extends object>({ name, text }: Statement, values: unknown[]): Promise<T[]> {
    const result = await this.watched(() => this.client.query<T>({ name, text, values }));
    return result.rows;
  }

  /**
   * The last statement of a transaction: when `work` does not wait for it, it travels with COMMIT, which comes whatever
   * its rows say. Its failure is that of the transaction, and shows when its rows are waited for.
   */
  last<T extends object>(statement: Statement, values: unknown[]): Promise<T[]> {
    const rows = this.rows<T>(statement, values);
    rows.catch(() => undefined); // when COMMIT fails as well, nobody waits for them
    return rows;
  }

  /** Statements without parameters or results. */
  async run(text: string): Promise<void> {
    await this.watched(() => this.client.query(text));
  }

  /** Commits what `work` did, or rolls back and throws on. A transaction whose COMMIT failed may have happened. */
  async transaction<T>(isolation: Isolation, work: () => Promise<T>): Promise<T> {
    // The first statement of `work` travels with BEGIN. Should that one fail, no other may follow outside of a transaction.
    const begun = this.run(`BEGIN ISOLATION LEVEL ${isolation}`).catch((error: unknown) => {
      this.socket.destroy();
      throw error;
    });
    let result: T;
    try {
      [result] = await Promise.all([work(), begun]);
    } catch (error) {
      // a connection that cannot roll back has done so by breaking
      await this.run('ROLLBACK').catch(() => this.socket.destroy());
      throw error;
    }
    await this.run('COMMIT');
    return result;
  }

  /** Says goodbye, for a moment at the most; locks are free when it resolves, unless the connection hangs. */
  async end(): Promise<void> {
    const timer = setTimeout(() => this.socket.destroy(), END_MS);
    await this.client.end().catch(() => undefined); // it was broken already, and holds nothing any more
    clearTimeout(timer);
    this.socket.destroy();
  }

  private lose(error: Error): void {
    if (this.lost) return;
    this.lost = error;
    this.socket.destroy();
    for (const listener of this.onLost) listener();
  }

  private async watched<T>(query: () => Promise<T>): Promise<T> {
    // what is asked for at one moment leaves in one packet
    this.socket.cork();
    process.nextTick(() => this.socket.uncork());
    const timer = setTimeout(
      () => this.socket.destroy(new Error(`PostgreSQL did not answer within ${HANGS_MS} ms`)),
      HANGS_MS,
    );
    try {
      return await query();
    } catch (error) {
      // PostgreSQL says so before it closes the connection: whoever is told of the error has to find it lost
      if ((error as pg.DatabaseError).severity === 'FATAL') this.lose(error as Error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}
