import { readFileSync } from 'node:fs';
import { backoffMs, sleep } from '#platform';

/** A process that has been started and can be used. */
export interface Running {
  pid: number;
  /** how it ended, for people */
  exited: Promise<string>;
  /** Lets it finish what it does, within a bound; resolves when it has gone. */
  stop: () => Promise<void>;
  /** Ends it at once; resolves when it has gone. */
  kill: () => Promise<void>;
}

interface SupervisedOptions<R extends Running> {
  /** for people: `the master` */
  name: string;
  log: string;
  /** Starts it and waits until it can be used; gives up when the signal fires. */
  start: () => Promise<R>;
  /** fires when the whole system is stopping: from then on an end is what was asked for */
  signal: AbortSignal;
  say: (text: string) => void;
  /** after it was started again, as another process */
  restarted: () => void;
}

const FIRST_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 5_000;
/** One that lived this long was well, and its next end is a new story. */
const WELL_AFTER_MS = 10_000;
const TAIL_LINES = 10;

/** Keeps one process running: an end that nobody asked for is told, with the last lines of its log, and mended. */
export class Supervised<R extends Running> {
  private running: R | undefined;
  private work: Promise<void> = Promise.resolve();

  constructor(private readonly options: SupervisedOptions<R>) {}

  get pid(): number | undefined {
    return this.running?.pid;
  }

  /** The first start is not repeated: what is wrong then stays wrong. @throws Error with the end of its log */
  async start(): Promise<R> {
    const first = this.options.start();
    this.work = first.then(
      (running) => this.keep(running),
      () => {}, // thrown below
    );
    try {
      return await first;
    } catch (error) {
      throw new Error(`${this.options.name}: ${(error as Error).message}${this.tail()}`, { cause: error });
    }
  }

  /** To be called when the signal has fired. */
  async stop(): Promise<void> {
    await this.running?.stop();
    await this.work;
  }

  /** Like `stop`, and does not wait for what it is doing. */
  async kill(): Promise<void> {
    await this.running?.kill();
    await this.work;
  }

  private async keep(first: R): Promise<void> {
    const { name, signal, say, restarted } = this.options;
    let failures = 0;
    for (let running: R | undefined = first; running; running = await this.startAgain(failures++)) {
      this.running = running;
      if (signal.aborted) return running.stop(); // asked for while it was being started
      if (running !== first) restarted();
      const since = Date.now();
      const how = await running.exited;
      if (signal.aborted) return;
      say(`${name} ended (${how}) and is started again${this.tail()}`);
      if (Date.now() - since > WELL_AFTER_MS) failures = 0;
    }
  }

  /** Undefined when the system stops meanwhile. */
  private async startAgain(failures: number): Promise<R | undefined> {
    const { name, signal, say, start } = this.options;
    for (let attempt = failures; ; attempt++) {
      await sleep(backoffMs(attempt, FIRST_BACKOFF_MS, MAX_BACKOFF_MS, Math.random), signal);
      if (signal.aborted) return undefined;
      try {
        return await start();
      } catch (error) {
        if (signal.aborted) return undefined;
        say(`${name} cannot be started again: ${(error as Error).message}${this.tail()}`);
      }
    }
  }

  private tail(): string {
    const lines = readFileSync(this.options.log, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES);
    if (lines.join('') === '') return '';
    return `; the end of ${this.options.log}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  }
}
