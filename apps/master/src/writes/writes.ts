import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { type Logger, sleep } from '#platform';
import { DataSource, type EntityManager, QueryFailedError } from 'typeorm';
import { LOG } from '../config/tokens.js';
import type { Answer, Caller } from '../http/request.js';
import { PublisherHint } from '../publishing/index.js';
import { openAnswer, sealAnswer } from './kept-answer.js';
import { RevisionWaiter } from './revision-waiter.js';
import { WriteTx } from './write-tx.js';

const ATTEMPTS = 4;
/** serialization failure, deadlock: PostgreSQL asks for the transaction to be tried again */
const TRY_AGAIN = new Set(['40001', '40P01']);

interface Outcome {
  answer: Answer;
  replayed: boolean;
  xid: string;
  environments: string[];
}

/**
 * The one way in which a request changes anything: rows, markers, audit lines and the Idempotency-Key's answer in one
 * transaction; then the publisher is woken, and the answer says which revision carries the write.
 */
@Injectable()
export class Writes {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(LOG) private readonly log: Logger,
    private readonly hint: PublisherHint,
    private readonly waiter: RevisionWaiter,
  ) {}

  async run<T>(caller: Caller, work: (tx: WriteTx) => Promise<Answer<T>>): Promise<Answer<T>> {
    const { answer, revisions } = await this.commit(caller, work);
    const published = await revisions();
    return published.length === 0
      ? answer
      : { ...answer, headers: { ...answer.headers, 'heliograph-revision': published.join(', ') } };
  }

  /** As `run`, but leaves it to the caller whether and when to wait for the revisions that carry the write. */
  async commit<T>(
    caller: Caller,
    work: (tx: WriteTx) => Promise<Answer<T>>,
  ): Promise<{ answer: Answer<T>; revisions: () => Promise<string[]> }> {
    const { answer, replayed, xid, environments } = await this.withRetries(caller, work);
    if (!replayed) this.hint.hint(environments);
    return {
      answer: replayed
        ? { ...(answer as Answer<T>), headers: { ...answer.headers, 'idempotent-replayed': 'true' } }
        : (answer as Answer<T>),
      revisions: () => this.waiter.revisionsOf(xid, environments),
    };
  }

  private async withRetries(caller: Caller, work: (tx: WriteTx) => Promise<Answer>): Promise<Outcome> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.source.transaction((manager) => this.once(manager, caller, work));
      } catch (error) {
        const code = error instanceof QueryFailedError ? (error.driverError as { code?: string }).code : undefined;
        if (attempt >= ATTEMPTS || code === undefined || !TRY_AGAIN.has(code)) throw error;
        this.log.debug({ code, attempt, requestId: caller.requestId }, 'a write is tried again');
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
        return { ...openAnswer(rows[0].answer, key.answerKey), replayed: true };
      }
    }
    const tx = new WriteTx(manager, caller);
    const answer = await work(tx);
    const { xid, environments } = await tx.flush();
    const outcome: Outcome = { answer, xid, environments, replayed: false };
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
