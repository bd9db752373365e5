import type { UsageAnswer, UsageReport } from '#model';
import type { MasterClient } from '../master/master-client.js';
import type { StreamClient } from '../sync/stream/stream-client.js';

const ANSWER_MS = 10_000;

/** Sends a report on the stream, or, while there is none, by a request of its own. One at a time. */
export class UsageSender {
  #number = 0;

  constructor(
    private readonly stream: Pick<StreamClient, 'isUp' | 'say' | 'onCounted'>,
    private readonly master: Pick<MasterClient, 'reportUsage'>,
    private readonly token: string,
  ) {}

  /** @returns when a master has written it; rejects when that is not known: it is to be sent again */
  send(report: UsageReport, signal: AbortSignal): Promise<UsageAnswer> {
    return this.stream.isUp ? this.#say(report, signal) : this.master.reportUsage(report, this.token, signal);
  }

  #say(report: UsageReport, signal: AbortSignal): Promise<UsageAnswer> {
    const { stream } = this;
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      const fail = (): void => {
        end();
        reject(new Error('no master has answered to a report of usage'));
      };
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', fail);
        stream.onCounted = () => undefined;
      };
      const timer = setTimeout(fail, ANSWER_MS);
      signal.addEventListener('abort', fail, { once: true });
      stream.onCounted = (answer) => {
        if (answer.number !== number) return; // to one that was given up
        end();
        resolve({ refused: answer.refused });
      };
      stream.say({ type: 'usage', number, report });
    });
  }
}
