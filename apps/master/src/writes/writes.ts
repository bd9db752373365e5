import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { type Logger, sleep } from '#platform';
import { DataSource, type EntityManager, QueryFailedError } from 'typeorm';
import { LOG } from '../config/tokens.js';
import { prepared, type PreparedStatement } from '../database/prepared.js';
import type { Answer, Caller } from '../http/request.js';
import { Office, PublisherHint } from '../publishing/index.js';
import { openAnswer, sealAnswer } from './kept-answer.js';
import { type Carrier, revisionNames, RevisionWaiter } from './revision-waiter.js';
import { Turns } from './turns.js';
import { type Mark, WriteTx } from './write-tx.js';

const ATTEMPTS = 4;
/** serialization failure, deadlock: PostgreSQL asks for the transaction to be tried again */
const TRY_AGAIN = new Set(['40001', '40P01']);

interface Outcome {
  answer: Answer;
  replayed: boolean;
  xid: string;
  environments: string[];
  marked: readonly Mark[];
  hasEvents: boolean;
}

/** A write that is durable. */
interface Committed<T> {
  answer: Answer<T>;
  environments: string[];
  /** waits for the revisions that carry it */
  carriers: () => Promise<Carrier[]>;
}

/** One of the requests that share a transaction. */
export interface Shared<I> {
  caller: Caller;
  item: I;
}

/** Runs a statement that is the whole transaction: rows, markers, audit lines and events (`flushing`). */
export type OnlyStatement = <R extends object>(statement: PreparedStatement, values: unknown[]) => Promise<R[]>;

/** What came of requests that shared a transaction. */
export interface Together<T> {
  /** in their order; null: nothing was written for it, it has to run by itself */
  answers: (Answer<T> | null)[];
  /** in decimal; null: nothing was written for any of them */
  xid: string | null;
  marked: readonly Mark[];
}

/**
 * The one way in which a request changes anything: rows, markers, audit lines and the Idempotency-Key's answer in one
 * transaction; then the publisher is woken, and the answer says which revision carries the write.
 */
@Injectable()
export class Writes {
  private told: () => void = () => undefined;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(LOG) private readonly log: Logger,
    private readonly hint: PublisherHint,
    private readonly waiter: RevisionWaiter,
    private readonly office: Office,
  ) {}

  /** @param listener called after each commit that has written events; it must not throw */
  onEvents(listener: () => void): void {
    this.told = listener;
  }

  async run<T>(caller: Caller, work: (tx: WriteTx) => Promise<Answer<T>>): Promise<Answer<T>> {
    return this.answered(await this.commit(caller, work), caller);
  }

  /**
   * Makes a `run` for small writes of one kind that come in great numbers: those that arrive while one transaction is
   * under way share the next one, its commit and, as a rule, its revision. It is one statement, so one round trip.
   *
   * @param environmentOf the only one in which it marks anything: nobody's write is told of another environment's revision
   * @param together writes what it can without waiting for anybody's locks
   * @param alone writes one of them in a transaction of its own, as `run` does: what `together` left, what shares nothing
   *   because it has an Idempotency-Key or names an environment, and each by itself when one of them made the statement fail
   */
  inTurns<I, T>(
    environmentOf: (item: I) => string,
    together: (query: OnlyStatement, requests: readonly Shared<I>[]) => Promise<Together<T>>,
    alone: (tx: WriteTx, item: I) => Promise<Answer<T>>,
  ): (caller: Caller, item: I) => Promise<Answer<T>> {
    const turns = new Turns<Shared<I>, Committed<T> | null>(
      ({ item }) => environmentOf(item),
      (requests) => this.share(requests, environmentOf, together),
    );
    return async (caller, item) => {
      const committed = caller.idempotency || caller.reaches ? null : await turns.add({ caller, item });
      return committed ? this.answered(committed, caller) : this.run(caller, (tx) => alone(tx, item));
    };
  }

  /** As `run`, but leaves it to the caller whether and when to wait for the revisions that carry the write. */
  async commit<T>(caller: Caller, work: (tx: WriteTx) => Promise<Answer<T>>): Promise<Committed<T>> {
    const { answer, replayed, xid, environments, marked, hasEvents } = await this.attempted(() =>
      this.source.transaction((manager) => this.once(manager, caller, work)),
    );
    if (!replayed) this.hint.hint(environments, marked);
    if (hasEvents) this.told();
    return {
      answer: replayed
        ? { ...(answer as Answer<T>), headers: { ...answer.headers, 'idempotent-replayed': 'true' } }
        : (answer as Answer<T>),
      environments,
      carriers: () => this.waiter.carriersOf(xid, environments),
    };
  }

  private async answered<T>(
    { answer, carriers, environments }: Committed<T>,
    { until }: Pick<Caller, 'until'>,
  ): Promise<Answer<T>> {
    const unknown = environments.map((environment): Carrier => ({ environment, revision: null }));
    const carriedBy = until === undefined ? await carriers() : await inTime(carriers(), until, unknown);
    // one that will not come by itself: without a revision it is known nowhere but here
    for (const { environment, revision } of carriedBy)
      if (revision === null) this.office.requirePublishable(environment);
    const names = revisionNames(carriedBy);
    const headers =
      names.length === 0 ? answer.headers : { ...answer.headers, 'heliograph-revision': names.join(', ') };
    return { ...answer, headers, carriedBy };
  }

  /** @returns null for what has to run by itself */
  private async share<I, T>(
    requests: readonly Shared<I>[],
    environmentOf: (item: I) => string,
    together: (query: OnlyStatement, requests: readonly Shared<I>[]) => Promise<Together<T>>,
  ): Promise<(Committed<T> | null)[]> {
    const environments = [...new Set(requests.map(({ item }) => environmentOf(item)))]; // turns are of one
    const [environment = ''] = environments;
    const anticipated = this.waiter.anticipate(environment);
    try {
      const { answers, xid, marked } = await this.attempted(() =>
        together((...asked) => this.only(...asked), requests),
      );
      if (xid === null) return requests.map(() => null);
      anticipated.is(xid);
      this.hint.hint(environments, marked);
      this.told();
      let told: Promise<Carrier[]> | undefined;
      const carriers = (): Promise<Carrier[]> => (told ??= this.waiter.carriersOf(xid, environments));
      return answers.map((answer) => answer && { answer, environments, carriers });
    } catch (error) {
      if (!hasRolledBack(error)) throw error;
      return requests.map(() => null);
    } finally {
      anticipated.end();
    }
  }

  private async only<R extends object>(statement: PreparedStatement, values: unknown[]): Promise<R[]> {
    const runner = this.source.createQueryRunner();
    try {
      return await prepared<R>(runner.manager, statement, values);
    } finally {
      await runner.release();
    }
  }

  /** The one place in which a transaction of a write begins. */
  private async attempted<T>(transaction: () => Promise<T>): Promise<T> {
    this.office.requireOpen();
    for (let attempt = 1; ; attempt++) {
      try {
        return await transaction();
      } catch (error) {
        if (attempt >= ATTEMPTS || !mayTryAgain(error)) throw error;
        this.log.debug({ cause: (error as Error).message, attempt }, 'a write is tried again');
        await sleep(attempt * 10 * Math.random());
      }
    }
  }

  private async once(manager: EntityManager, caller: Caller, work: (tx: WriteTx) => Promise<Answer>): Promise<Outcome> {
    const key = caller.idempotency;
    if (key) {
      // two requests with one key: the second waits here until the first has committed or rolled back
      await manager.query('SELECT pg_advisory_xact_lock($1::bigint)', [key.id.readBigInt64BE(0).toString()]);
      const rows: { request_hash: Buffer; answer: Buffer }[] = await manager.query(
        'SELECT request_hash, answer FROM idempotency WHERE id = $1',
        [key.id],
      );
      if (rows[0]) {
        if (!rows[0].request_hash.equals(key.requestHash)) {
          throw fail('idempotency_mismatch', 'this Idempotency-Key came before with another method, path or body', {
            fields: [
              {
                field: 'Idempotency-Key',
                problem: 'was used for another request',
                expected: 'a new key for a new request',
              },
            ],
          });
        }
        return { ...openAnswer(rows[0].answer, key.answerKey), marked: [], replayed: true, hasEvents: false };
      }
    }
    const tx = new WriteTx(manager, caller);
    const answer = await work(tx);
    const { xid, environments } = await WriteTx.flush(manager, [tx]);
    requireReach(caller, environments);
    const { marked, hasEvents } = tx;
    const outcome: Outcome = { answer, xid, environments, marked, hasEvents, replayed: false };
    if (key) {
      await manager.query('INSERT INTO idempotency (id, request_hash, answer) VALUES ($1, $2, $3)', [
        key.id,
        key.requestHash,
        sealAnswer({ answer, xid, environments }, key.answerKey),
      ]);
    }
    this.waiter.expect(xid, environments);
    return outcome;
  }
}

/** Inside of the transaction, which comes to nothing then: nobody waits for a region that the write never reaches. */
function requireReach({ reaches }: Caller, environments: readonly string[]): void {
  if (!reaches || environments.length === 0 || environments.includes(reaches)) return;
  const problem = `names a region of "${reaches}", and the write changes only ${environments.join(', ')}`;
  throw fail('invalid_request', `applied: ${problem}; nothing was written`, {
    fields: [{ field: 'applied', problem, expected: `region:<id> of a region of ${environments.join(' or ')}` }],
  });
}

/** @param until milliseconds since 1970 */
async function inTime<T>(result: Promise<T>, until: number, otherwise: T): Promise<T> {
  const answered = new AbortController();
  try {
    return await Promise.race([result, sleep(Math.max(0, until - Date.now()), answered.signal).then(() => otherwise)]);
  } finally {
    answered.abort();
  }
}

function mayTryAgain(error: unknown): boolean {
  const code = faultOf(error)?.code;
  return code !== undefined && TRY_AGAIN.has(code);
}

/** Whether PostgreSQL refused the one statement of a transaction. After a connection that broke nobody knows what became of it. */
function hasRolledBack(error: unknown): boolean {
  return faultOf(error)?.severity === 'ERROR';
}

function faultOf(error: unknown): { code?: string; severity?: string } | undefined {
  return error instanceof QueryFailedError ? (error.driverError as { code?: string; severity?: string }) : undefined;
}
