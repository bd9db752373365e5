import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ArtifactFault, FormatError } from '#artifacts';
import { type Deferred, deferred } from '#platform';
import type { StateWriter } from './state-writer.js';

type Method = Exclude<keyof StateWriter, 'close'>;

export interface WriterCall {
  id: number;
  method: Method;
  args: unknown[];
}

export type WriterAnswer =
  | { id: number; value: unknown }
  | { id: number; error: { format: boolean; code: unknown; message: string } };

/** Nothing was written, and it is nobody's fault but this disk's, or this machine's: it can be tried again. */
export class StateWriteError extends Error {
  readonly code = 'state_write_failed';
}

/**
 * Found from the app's folder and not from here: this module may be bundled into another file, and tests run the sources, which a
 * thread cannot.
 */
const THREAD = new URL(
  import.meta.url.replace(/(dist\/)?apps\/replica\/src\/.*$/, 'dist/apps/replica/src/state/writer-thread.js'),
);

/**
 * The writer's thread as process 1 sees it. It is started by the first call, and again by the one after it has ended:
 * each write is whole, or was none, and the state on the disk says which.
 */
export class WriterPort {
  readonly #calls = new Map<number, Deferred<unknown>>();
  #thread: Worker | null = null;
  #last = 0;

  constructor(private readonly directory: string) {}

  /** @throws FormatError as the writer does; StateWriteError when it threw anything else, or its thread ended meanwhile */
  call<M extends Method>(method: M, ...args: Parameters<StateWriter[M]>): Promise<ReturnType<StateWriter[M]>> {
    this.#thread ??= this.#start();
    const id = ++this.#last;
    const outcome = deferred<unknown>();
    this.#calls.set(id, outcome);
    this.#thread.ref();
    this.#thread.postMessage({ id, method, args: args.map(whole) } satisfies WriterCall);
    return outcome.promise as Promise<ReturnType<StateWriter[M]>>;
  }

  /** After everything that was called. */
  async close(): Promise<void> {
    const thread = this.#thread;
    if (thread === null) return;
    await Promise.allSettled([...this.#calls.values()].map(({ promise }) => promise));
    if (this.#thread !== thread) return;
    thread.ref();
    const ended = once(thread, 'exit');
    thread.postMessage(null);
    await ended;
  }

  #start(): Worker {
    const thread = new Worker(THREAD, {
      workerData: { directory: this.directory },
      // those of process 1 may be for it alone
      execArgv: [],
    });
    thread.on('message', (answer: WriterAnswer) => this.#onAnswer(answer));
    let fault = 'it ended';
    thread.on('error', (error: unknown) => (fault = (error as Error).message));
    thread.on('exit', () => {
      if (this.#thread === thread) this.#thread = null;
      for (const call of this.#calls.values())
        call.reject(new StateWriteError(`the thread that writes the state: ${fault}`));
      this.#calls.clear();
    });
    return thread;
  }

  #onAnswer(answer: WriterAnswer): void {
    const call = this.#calls.get(answer.id);
    this.#calls.delete(answer.id);
    // an idle writer keeps no process alive
    if (this.#calls.size === 0) this.#thread?.unref();
    if ('value' in answer) call?.resolve(answer.value);
    else call?.reject(errorOf(answer.error));
  }
}

function errorOf({ code, format, message }: { format: boolean; code: unknown; message: string }): Error {
  return format ? new FormatError(code as ArtifactFault, message) : new StateWriteError(message);
}

/** Of a view a message would carry all of the memory that it is a view of. */
function whole(arg: unknown): unknown {
  return arg instanceof Uint8Array && arg.length < arg.buffer.byteLength ? new Uint8Array(arg) : arg;
}
