import { randomBytes } from 'node:crypto';
import { type Deferred, deferred } from '#platform';
import { GatewayBook } from '../telemetry/gateway-book.js';
import { ReleaseBook } from '../telemetry/release-book.js';
import { TrafficMeter } from '../telemetry/traffic-meter.js';
import type { WorkerReport } from './engine/metric-families.js';

const ANSWER_MS = 1000;

/** Asks the workers for their numbers, and adds up what they tell, asked or not. */
export class WorkerNumbers {
  /** of this process: the next one begins at 0 */
  readonly releases = new ReleaseBook(randomBytes(8).toString('hex'));
  readonly traffic = new TrafficMeter(() => performance.now());
  private readonly book: GatewayBook;
  private readonly questions = new Map<number, { missing: Set<string>; done: Deferred<void> }>();
  private nextQuestion = 1;

  constructor(region: string) {
    this.book = new GatewayBook(region, () => performance.now());
  }

  /**
   * Prometheus text of all workers together; of those that do not answer in a second, what they last told.
   *
   * @param listening names of the workers to be asked
   */
  async text(listening: readonly string[], ask: (name: string, id: number) => void): Promise<string> {
    const id = this.nextQuestion++;
    const question = { missing: new Set(listening), done: deferred<void>() };
    this.questions.set(id, question);
    for (const name of listening) ask(name, id);
    const timer = setTimeout(() => question.done.resolve(), ANSWER_MS);
    if (listening.length > 0) await question.done.promise;
    clearTimeout(timer);
    this.questions.delete(id);
    return this.book.text(listening.length);
  }

  /** @param alive false: its end was heard of before its last words */
  told(name: string, report: WorkerReport, id: number, alive: boolean): void {
    this.book.add(name, report);
    this.releases.add(report.releases);
    this.traffic.add(report.requests);
    if (!alive) this.book.forget(name);
    this.answer(name, id);
  }

  ended(name: string, unasked: boolean): void {
    if (unasked) this.book.deaths += 1;
    this.book.forget(name);
    for (const id of this.questions.keys()) this.answer(name, id);
  }

  close(): void {
    this.book.close();
  }

  private answer(name: string, id: number): void {
    const question = this.questions.get(id);
    if (question?.missing.delete(name) && question.missing.size === 0) question.done.resolve();
  }
}
