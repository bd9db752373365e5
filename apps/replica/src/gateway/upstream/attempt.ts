import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { HeaderList } from '../engine/header-lists.js';
import type { TargetPool } from './target-pools.js';

export interface UpstreamFailure {
  /** `unsent`: no byte of the request left, so that it may be sent elsewhere whatever it is */
  kind: 'unsent' | 'broken' | 'timeout';
  error: Error;
}

export interface AttemptEvents {
  onHead(status: number, headers: HeaderList): void;
  /** @returns false to get no more until `resume` */
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  /** the last event; before or after the head */
  onFailure(failure: UpstreamFailure): void;
}

export interface AttemptRequest {
  method: string;
  path: string;
  headers: string[];
  body: Readable | null;
  /** to the head, from now or from the last bytes of the body that went on */
  timeoutMs: number;
  /** whether the time runs out for a reason that is not the upstream's */
  excused(): boolean;
}

/** One request to one target. After `onEnd`, `onFailure` or `abort` it says nothing any more. */
export class Attempt implements Dispatcher.DispatchHandler {
  private controller: Dispatcher.DispatchController | null = null;
  private headed = false;
  private over = false;
  private readonly deadline: NodeJS.Timeout;
  private verdict: NodeJS.Immediate | undefined;

  constructor(
    private readonly request: AttemptRequest,
    private readonly events: AttemptEvents,
    private readonly done: (unreachable: boolean) => void,
  ) {
    // One timer for everything that happens before the head: waiting for a connection, connecting, sending, and thinking.
    // When this process stood still timers run before sockets are read: what has come by then is not late.
    this.deadline = setTimeout(() => (this.verdict = setImmediate(() => this.onDeadline())), request.timeoutMs);
  }

  start({ pool }: TargetPool): void {
    const { method, path, headers, body } = this.request;
    pool.dispatch({ method, path, headers, body }, this);
  }

  /** The time to the head begins anew: bytes of the body go on. */
  refresh(): void {
    if (this.over || this.headed) return;
    clearImmediate(this.verdict);
    this.deadline.refresh();
  }

  resume(): void {
    if (!this.over) this.controller?.resume();
  }

  /** Ends it without another event. */
  abort(): void {
    if (this.finish(false)) this.controller?.abort(new Error('aborted'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    // it was given up while it waited for a connection
    if (this.over) controller.abort(new Error('aborted'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.over || status < 200) return; // 1xx: the answer is still to come
    this.headed = true;
    this.clearDeadline();
    this.events.onHead(status, textOf(controller.rawHeaders));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.over && !this.events.onData(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.finish(false)) this.events.onEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    const unsent = this.controller === null;
    if (this.finish(unsent)) this.events.onFailure({ kind: unsent ? 'unsent' : 'broken', error });
  }

  private onDeadline(): void {
    if (this.request.excused()) {
      this.deadline.refresh();
      return;
    }
    const { controller } = this;
    if (!this.finish(false)) return;
    const error = new Error('no answer in time');
    controller?.abort(error);
    this.events.onFailure({ kind: 'timeout', error });
  }

  private clearDeadline(): void {
    clearTimeout(this.deadline);
    clearImmediate(this.verdict);
  }

  /** @returns whether it was still going on */
  private finish(unreachable: boolean): boolean {
    if (this.over) return false;
    this.over = true;
    this.clearDeadline();
    this.request.body?.destroy();
    this.done(unreachable);
    return true;
  }
}

function textOf(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  return Array.isArray(raw) ? raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1'))) : [];
}
