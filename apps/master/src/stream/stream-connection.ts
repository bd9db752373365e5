import {
  type ReleaseNumbersReport,
  type ReplicaStatus,
  STREAM_CLOSE,
  type TailLines,
  type TailWish,
  toMaster,
  type ToMaster,
  type ToReplica,
  type UsageAnswer,
  type UsageReport,
} from '#model';
import type WebSocket from 'ws';
import type { ConnectedReplica } from '../fleet/connected-replica.js';
import type { SealedBytes } from '../publishing/index.js';
import type { Follow, Intent } from './decide-intent.js';
import { Outflow } from './outflow.js';
import type { StreamLimits } from './options.js';
import { Want } from './want.js';

/** What a connection needs of its environment. */
export interface ChainFeed {
  /** the newest revision */
  readonly newest: number;
  /** the text of a head */
  readonly head: string;
  /** one of the newest revisions; undefined: it has to be read */
  recent(revision: number): SealedBytes | undefined;
  /** the next ones after `revision`; none: they are not there */
  read(revision: number): Promise<SealedBytes[]>;
  /** @returns what it is to do, and the text of a head */
  intent(follow: Follow): Promise<{ intent: Intent; head: string }>;
  /** what it says of itself */
  acknowledged(replica: ConnectedReplica, revision: number, lagMs: number | null): void;
  reported(replica: ConnectedReplica, status: ReplicaStatus): void;
  /** @returns when what it has counted is written */
  counted(replica: ConnectedReplica, report: UsageReport): Promise<UsageAnswer>;
  measured(replica: ConnectedReplica, numbers: ReleaseNumbersReport): void;
  /** requests that somebody looks at */
  tailed(replica: ConnectedReplica, lines: TailLines): void;
  /** something could not be read, and is not asked for again before the next heartbeat */
  unread(error: Error): void;
}

export type StreamCloseName = keyof typeof STREAM_CLOSE;

/** A replica that answers none of so many has gone. */
const MISSED_HEARTBEATS = 3;
/** How long the other end may take to answer a close, before the socket is destroyed. */
const GOODBYE_MS = 1_000;

/**
 * One replica's end of the stream. It pulls: whenever there is room in the socket, the revision after the last one sent is
 * taken from memory or read, so that nothing is queued for a reader that does not read, and nothing can be skipped.
 */
export class StreamConnection {
  readonly outflow: Outflow;
  /** the newest revision that was sent, or that it said it has; null: it follows nothing */
  private position: number | null = null;
  /** the newest `follow` that is not answered yet */
  private asked: Follow | null = null;
  /** what it said last that it has */
  claim: Follow | null = null;
  /** it was told that this master is behind it */
  private isAhead = false;
  /** read, and not sent yet */
  private batch: SealedBytes[] = [];
  private busy = false;
  /** heartbeats since anything was heard, and since the reader took anything */
  private unanswered = 0;
  private stuck = 0;
  private wanted: Want | null = null;
  private closing = false;
  /** a report of what it has counted is being written */
  private counting = false;
  /** why this process ended it; null: it did not */
  endedFor: string | null = null;

  constructor(
    readonly replica: ConnectedReplica,
    private readonly socket: WebSocket,
    private readonly feed: ChainFeed,
    private readonly limits: StreamLimits,
    /** it can be asked for requests */
    private readonly hearsTail = false,
  ) {
    this.outflow = new Outflow(socket, limits.bufferedBytes, () => this.pump());
    socket.on('message', (data, binary) => this.heard(data as Buffer, binary));
    socket.on('pong', () => (this.unanswered = 0));
    socket.on('error', () => undefined); // ws closes it, with the code for what was wrong
    socket.on('close', () => {
      this.closing = true;
      this.batch = [];
      this.wanted?.fail('the replica disconnected');
    });
  }

  /** Revisions that are published and not sent yet; null: it follows nothing. */
  get lag(): number | null {
    return this.position === null ? null : Math.max(0, this.feed.newest - this.position);
  }

  /** Sends what there is to send and room for; never waits, and costs others nothing. */
  pump(): void {
    while (!this.closing && !this.busy && this.outflow.ready()) {
      if (this.asked) return this.answer(this.asked);
      if (this.position === null || this.position >= this.feed.newest) return;
      const next = this.next(this.position + 1);
      if (!next) return this.fill(this.position);
      this.position = next.revision;
      this.outflow.send(next.bytes);
    }
  }

  /** One that was ahead of the chain, and is no more, has to say anew where it stands: it may have moved meanwhile. */
  overtaken({ epoch, revision }: Pick<Follow, 'epoch' | 'revision'>): void {
    if (this.isAhead && this.claim && this.claim.revision <= revision && this.claim.epoch <= epoch)
      this.close('unavailable');
  }

  say(message: ToReplica): void {
    if (!this.closing) this.outflow.say(JSON.stringify(message));
  }

  /** Something at least this often; a head is of no use to one that has not read the last. */
  beat(head: string | null): void {
    if (this.closing) return;
    const { stuckMs, heartbeatMs } = this.limits;
    // counted and not timed: after a pause of this process everybody would seem to have been silent
    this.stuck = this.outflow.moves() ? 0 : this.stuck + 1;
    if (this.stuck * heartbeatMs > stuckMs || ++this.unanswered > MISSED_HEARTBEATS) return this.close('slow_consumer');
    this.socket.ping();
    if (head !== null) this.tell(head);
    this.pump();
  }

  tell(head: string): void {
    if (this.outflow.ready()) this.say({ type: 'head', head });
  }

  /** Asks for revisions. @returns their bytes, unverified, in order, as far as the replica has them */
  want(from: number, to: number, idleMs: number): Promise<Buffer[]> {
    if (this.closing) return Promise.reject(new Error(`the replica ${this.replica.id} has disconnected`));
    if (this.wanted) return Promise.reject(new Error(`the replica ${this.replica.id} is being asked already`));
    const wanted = new Want(to - from + 1, idleMs);
    this.wanted = wanted;
    this.say({ type: 'want', from, to });
    return wanted.answer.finally(() => (this.wanted = null));
  }

  /** One that does not know the message would end the connection for it. */
  tail(wish: TailWish): void {
    if (this.hearsTail) this.say({ type: 'tail', ...wish });
  }

  close(name: StreamCloseName): void {
    this.end(STREAM_CLOSE[name], name);
  }

  /** @param code of RFC 6455, or of `STREAM_CLOSE` @param reason a name: it is counted by */
  end(code: number, reason: string): void {
    if (this.closing) return;
    this.closing = true;
    this.endedFor = reason;
    this.socket.close(code, reason);
    const timer = setTimeout(() => this.socket.terminate(), GOODBYE_MS);
    this.socket.on('close', () => clearTimeout(timer));
  }

  private heard(data: Buffer, binary: boolean): void {
    this.unanswered = 0;
    if (this.closing) return;
    if (binary) {
      if (!this.wanted?.take(data)) this.close('bad_message');
      return;
    }
    const message = parse(data, this.limits.messageChars);
    if (!message) return this.close('bad_message');
    if (message.type === 'ack') this.feed.acknowledged(this.replica, message.revision, message.lagMs);
    else if (message.type === 'status') this.status(message.status);
    else if (message.type === 'usage') void this.count(message);
    else if (message.type === 'lines') this.feed.tailed(this.replica, message);
    else {
      this.asked = message; // one that was not answered yet counts no more
      this.claim = message;
      this.isAhead = false; // the answer will tell
      this.position = null;
      this.batch = [];
      this.pump();
    }
  }

  private status({ numbers, ...status }: ReplicaStatus): void {
    const { id, region, environment } = this.replica;
    if (status.replica !== id || status.region !== region || status.environment !== environment)
      return this.close('bad_message');
    this.feed.reported(this.replica, status);
    if (numbers) this.feed.measured(this.replica, numbers);
  }

  /** What cannot be written is not answered, and comes again. */
  private async count({ number, report }: Extract<ToMaster, { type: 'usage' }>): Promise<void> {
    if (this.counting) return;
    this.counting = true;
    try {
      this.say({ type: 'counted', number, ...(await this.feed.counted(this.replica, report)) });
    } catch (error) {
      this.feed.unread(error as Error);
    } finally {
      this.counting = false;
    }
  }

  private next(revision: number): SealedBytes | undefined {
    while (this.batch[0] && this.batch[0].revision < revision) this.batch.shift();
    return this.feed.recent(revision) ?? (this.batch[0]?.revision === revision ? this.batch[0] : undefined);
  }

  private fill(position: number): void {
    void this.alone(async () => {
      const batch = await this.feed.read(position);
      if (this.position !== position) return; // it began anew meanwhile
      this.batch = [...batch]; // others may have been given the same one
      if (batch[0]?.revision !== position + 1) this.lost(position + 1);
    });
  }

  private lost(revision: number): void {
    const detail = `this master does not have revision ${revision} any more`;
    this.position = null;
    this.say({ type: 'intent', intent: 'full', reason: 'too_far_behind', detail, head: this.feed.head });
  }

  private answer(follow: Follow): void {
    void this.alone(async () => {
      const { intent, head } = await this.feed.intent(follow);
      if (this.asked !== follow) return; // it asked again
      this.asked = null;
      this.say({ type: 'intent', ...intent, head });
      this.position = intent.intent === 'full' ? null : follow.revision;
      this.isAhead = intent.intent === 'full' && intent.reason === 'ahead';
    });
  }

  /** What fails is tried again with the next heartbeat, and not at once: the database is away, and so is everything new. */
  private async alone(work: () => Promise<void>): Promise<void> {
    this.busy = true;
    const fault = await work().then(
      () => null,
      (error: unknown) => error as Error,
    );
    this.busy = false;
    if (fault) this.feed.unread(fault);
    else this.pump();
  }
}

function parse(data: Buffer, limit: number): ToMaster | null {
  if (data.length > 4 * limit) return null;
  const text = data.toString('utf8');
  if (text.length > limit) return null;
  try {
    return toMaster.parse(JSON.parse(text));
  } catch {
    return null; // no JSON, or no message: the connection is closed for it
  }
}
