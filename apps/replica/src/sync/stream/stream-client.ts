import { type ReleaseNumbersReport, type ReplicaStatus, STREAM_LIMITS, type ToMaster, type ToReplica } from '#model';
import { deferred, type Logger } from '#platform';
import type { Tails } from '../../gateway/tails.js';
import type { RunState } from '../run-state.js';
import { MasterSocket, type StreamEnd, type StreamPosition } from './master-socket.js';
import { StreamTeller } from './stream-teller.js';
import { TailTeller } from './tail-teller.js';

export type StreamNews =
  /** connected, and told that this replica stands at `revision` */
  | { kind: 'up'; revision: number }
  | { kind: 'message'; message: Exclude<ToReplica, { type: 'want' | 'counted' | 'tail' }> }
  /** so many revisions can be taken now */
  | { kind: 'pushed'; waiting: number }
  | ({ kind: 'down' } & StreamEnd);

export interface StreamClientOptions {
  /** of the instances of the master; any of them will do */
  urls: readonly string[];
  token: string;
  position: () => StreamPosition;
  /** what is acknowledged: where this replica serves, which may be a moment after where it stands */
  served: () => { revision: number; lagMs: number | null };
  /** the exact bytes of a revision, null when it is not kept */
  delta: (revision: number) => Buffer | null;
  status: () => ReplicaStatus;
  /** see `TellerOptions`; none in what only follows */
  numbers?: () => ReleaseNumbersReport | undefined;
  /** of requests that a master may look at; none in what only follows */
  tails?: Tails;
  log: Logger;
  /** of the pauses between attempts */
  running: RunState;
  /** the master's, in tests */
  heartbeatMs?: number;
}

/** Only people can change what a master refuses, or end another replica that runs with this one's token. */
const HOLD_MS = 30_000;
const HELD: ReadonlySet<string> = new Set(['master_refused', 'stream_replaced']);
/** so long has a connection to last before it counts as a good one */
const STEADY_MS = 10_000;

/**
 * Keeps a connection to one of several master instances, from the first to the last: each that fails is followed by the next
 * one. Says what comes, and neither believes nor applies any of it.
 */
export class StreamClient {
  /** told what comes, in order; set before `run` */
  onNews: (news: StreamNews) => void = () => undefined;
  /** told of answers to reports of usage */
  onCounted: (answer: Extract<ToReplica, { type: 'counted' }>) => void = () => undefined;
  #socket: MasterSocket | null = null;
  #teller: StreamTeller | null = null;
  #tail: TailTeller | null = null;
  #holdMs = 0;
  #answering = false;

  constructor(private readonly options: StreamClientOptions) {}

  /** Whether the master hears of this replica from here. */
  get isUp(): boolean {
    return this.#teller !== null;
  }

  /** Until the run ends; never rejects. */
  async run(): Promise<void> {
    const { running, urls } = this.options;
    const abort = (): void => this.drop('stopping', 'the replica stops');
    running.signal.addEventListener('abort', abort, { once: true });
    for (let at = 0; !running.ended; at++) {
      const began = running.now();
      this.#holdMs = 0;
      const end = await this.#connect(urls[at % urls.length] as string);
      this.#socket = null;
      if (running.ended) break;
      this.onNews({ kind: 'down', ...end });
      if (running.now() - began >= STEADY_MS) running.succeeded();
      const pause = running.failed(urls.length);
      await running.pause(urls.length > 1 ? pause : Math.max(pause, HELD.has(end.code) ? HOLD_MS : 0, this.#holdMs));
    }
    running.signal.removeEventListener('abort', abort);
  }

  /** Those of the revisions that wait which are applied together. */
  take(): Buffer[] {
    return this.#socket?.inbox.take() ?? [];
  }

  get waiting(): number {
    return this.#socket?.inbox.waiting ?? 0;
  }

  /** Begins anew where this replica stands now. @returns at which revision that is; 0 without a connection */
  follow(): number {
    return this.#socket?.follow() ?? 0;
  }

  /** Gives this connection up for the next one, and this master alone for so long. */
  drop(code: string, detail: string, holdMs = 0): void {
    this.#holdMs = holdMs;
    this.#socket?.end({ code, detail });
  }

  /** Nothing without a connection. */
  say(message: ToMaster): void {
    this.#socket?.send(message);
  }

  /** A newer revision is served. */
  acknowledge(): void {
    this.#teller?.acknowledge();
  }

  /** The status has changed. */
  changed(): void {
    this.#teller?.changed();
  }

  async #connect(url: string): Promise<StreamEnd> {
    const { heartbeatMs = STREAM_LIMITS.heartbeatMs, position, token } = this.options;
    const ended = deferred<StreamEnd>();
    const socket = new MasterSocket({
      url,
      token,
      position,
      heartbeatMs,
      onUp: (revision) => this.#opened(socket, url, revision),
      onMessage: (message) => this.#hear(socket, message),
      onPushed: () => this.onNews({ kind: 'pushed', waiting: socket.inbox.waiting }),
      onEnd: (end) => ended.resolve(end),
    });
    this.#socket = socket;
    const end = await ended.promise;
    this.#teller?.stop();
    this.#tail?.stop();
    this.#teller = this.#tail = null;
    return end;
  }

  #opened(socket: MasterSocket, url: string, revision: number): void {
    const { log, numbers = () => undefined, served, status, tails } = this.options;
    log.info({ master: url }, 'connected to the stream of the master');
    this.#teller = new StreamTeller({
      send: (message) => socket.send(message),
      status,
      numbers,
      served,
    });
    this.#teller.start();
    const isFree = (): boolean => socket.isFree;
    this.#tail = tails ? new TailTeller(tails, (message) => socket.send(message), isFree) : null;
    this.onNews({ kind: 'up', revision });
  }

  #hear(socket: MasterSocket, message: ToReplica): void {
    if (message.type === 'want') void this.#answer(socket, message);
    else if (message.type === 'counted') this.onCounted(message);
    else if (message.type === 'tail') this.#tail?.hear(message);
    else this.onNews({ kind: 'message', message });
  }

  /** One after the other, so that nothing is read from the disk before it can be sent; one answer at a time. */
  async #answer(socket: MasterSocket, { from, to }: { from: number; to: number }): Promise<void> {
    if (this.#answering) return;
    this.#answering = true;
    try {
      for (let revision = from; revision <= to; revision++) {
        const bytes = this.options.delta(revision);
        if (!bytes || !(await socket.sendFrame(bytes))) return;
      }
    } finally {
      this.#answering = false;
    }
  }
}
