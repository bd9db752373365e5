import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type Deferred, deferred } from '#platform';
import type { UsageDisk } from './usage-disk.js';

type Method = 'write' | 'read' | 'forget';

export interface DiskCall {
  id: number;
  method: Method;
  args: unknown[];
}

export type DiskAnswer = { id: number; value: unknown } | { id: number; error: string } | { setAside: string };

/** What a ledger asks of its disk; each rejects where the disk has failed, and can be called again. */
export type UsageStorage = {
  [M in Method]: (...args: Parameters<UsageDisk[M]>) => Promise<ReturnType<UsageDisk[M]>>;
};

/** As the one of the state: tests run the sources, which a thread cannot. */
const THREAD = new URL(
  import.meta.url.replace(/(dist\/)?apps\/replica\/src\/.*$/, 'dist/apps/replica/src/usage/usage-thread.js'),
);

/** The disk's thread as process 1 sees it. It is started by the first call, and again by the one after it has ended. */
export class UsageDiskPort implements UsageStorage {
  /** told where lies what was no database, and was put away */
  onSetAside: (path: string) => void = () => undefined;
  readonly #calls = new Map<number, Deferred<unknown>>();
  #thread: Worker | null = null;
  #last = 0;

  constructor(private readonly directory: string) {}

  write: UsageStorage['write'] = (...args) => this.#call('write', args) as Promise<void>;
  read: UsageStorage['read'] = (...args) => this.#call('read', args) as ReturnType<UsageStorage['read']>;
  forget: UsageStorage['forget'] = (...args) => this.#call('forget', args) as Promise<void>;

  /** After everything that was called. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#calls.values()].map(({ promise }) => promise));
    const thread = this.#thread;
    if (thread === null) return;
    thread.ref();
    const ended = once(thread, 'exit');
    thread.postMessage(null);
    await ended;
  }

  #call(method: Method, args: unknown[]): Promise<unknown> {
    this.#thread ??= this.#start();
    const id = ++this.#last;
    const outcome = deferred<unknown>();
    this.#calls.set(id, outcome);
    this.#thread.ref();
    this.#thread.postMessage({ id, method, args } satisfies DiskCall);
    return outcome.promise;
  }

  #start(): Worker {
    const thread = new Worker(THREAD, { workerData: { directory: this.directory }, execArgv: [] });
    thread.on('message', (answer: DiskAnswer) => this.#onAnswer(answer));
    let fault = 'it ended';
    thread.on('error', (error: unknown) => (fault = (error as Error).message));
    thread.on('exit', () => {
      if (this.#thread === thread) this.#thread = null;
      for (const call of this.#calls.values()) call.reject(new Error(`the thread that keeps usage: ${fault}`));
      this.#calls.clear();
    });
    return thread;
  }

  #onAnswer(answer: DiskAnswer): void {
    if ('setAside' in answer) return this.onSetAside(answer.setAside);
    const call = this.#calls.get(answer.id);
    this.#calls.delete(answer.id);
    // an idle one keeps no process alive
    if (this.#calls.size === 0) this.#thread?.unref();
    if ('error' in answer) call?.reject(new Error(answer.error));
    else call?.resolve(answer.value);
  }
}
