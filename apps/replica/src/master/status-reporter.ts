import { MOST_RELEASE_COUNTS, type ReleaseNumbersReport, type ReplicaStatus } from '#model';
import { backoffMs, type Logger, sleep } from '#platform';
import { type MasterClient, MasterError } from './master-client.js';

/** A change is told this much later, with all that came in between; without one, the master hears every 5 s. */
const COALESCE_MS = 100;
const EVERY_MS = 5000;
const MAX_RETRY_MS = 30_000;

export interface StatusReporterOptions {
  master: MasterClient;
  token: string;
  status: () => ReplicaStatus;
  /** what was counted since it was last asked for */
  numbers: () => ReleaseNumbersReport | undefined;
  log: Logger;
  /** whether nobody else tells the master: a stream does */
  isNeeded: () => boolean;
}

/** Tells the master how this replica is, while it has no stream that does. Nothing here waits for it, and nothing is lost when it does not listen. */
export class StatusReporter {
  #wake = new AbortController();
  /** numbers that no master has had yet */
  #numbers: ReleaseNumbersReport | undefined;

  constructor(private readonly options: StatusReporterOptions) {}

  /** Something that the master wants to know soon has changed. */
  changed(): void {
    if (this.options.isNeeded()) this.#wake.abort();
  }

  /** Reports until the signal fires; one report at a time. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake.abort(), { once: true });
    let failures = 0;
    let told = '';
    while (!signal.aborted) {
      // From here on a change is not in the report that is about to be made, and leads to another one.
      this.#wake = new AbortController();
      const fault = this.options.isNeeded() ? await this.#report(signal) : null;
      if (signal.aborted) return;
      this.#tell(told, fault);
      told = fault?.code ?? '';
      if (fault) {
        // Not woken by changes: what is there by then is in the next report.
        await sleep(backoffMs(failures++, EVERY_MS, MAX_RETRY_MS, Math.random), signal);
      } else {
        failures = 0;
        await sleep(EVERY_MS, this.#wake.signal);
        await sleep(COALESCE_MS, signal);
      }
    }
  }

  async #report(signal: AbortSignal): Promise<MasterError | null> {
    const { master, numbers, status, token } = this.options;
    this.#numbers = newer(this.#numbers, numbers());
    try {
      await master.report({ ...status(), numbers: this.#numbers }, token, signal);
      this.#numbers = undefined;
      return null;
    } catch (error) {
      if (error instanceof MasterError) return error;
      throw error;
    }
  }

  #tell(before: string, fault: MasterError | null): void {
    if (before === (fault?.code ?? '')) return;
    const { log } = this.options;
    if (fault) log.warn({ code: fault.code, detail: fault.message }, 'the master does not hear of this replica');
    else if (before !== '') log.info('the master hears of this replica again');
  }
}

/** Numbers only grow: of a release the newer ones say it all. Of too many the oldest are left out, and come again when it is called. */
function newer(
  held: ReleaseNumbersReport | undefined,
  now: ReleaseNumbersReport | undefined,
): ReleaseNumbersReport | undefined {
  if (!held || !now) return now ?? held;
  const counts = new Map([...held.counts, ...now.counts].map((count) => [count.release, count]));
  return { boot: now.boot, counts: [...counts.values()].slice(-MOST_RELEASE_COUNTS) };
}
