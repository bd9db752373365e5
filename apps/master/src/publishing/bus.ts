import { backoffMs, type Logger, sleep } from '#platform';
import { Bell } from './bell.js';
import { Session } from './session.js';

/** An environment's id: its markers wait. */
const HINT = 'heliograph_hint';
/** An environment's id and a revision: it has been published. */
const PUBLISHED = 'heliograph_published';
/** What other parts of masters say to each other. */
const TALK = 'heliograph_talk';

const LISTEN = `SET synchronous_commit = off; LISTEN ${HINT}; LISTEN ${PUBLISHED}; LISTEN ${TALK}`;
const SEND = {
  name: 'bus_send',
  text: 'SELECT pg_notify(n.channel, n.payload) FROM unnest($1::text[], $2::text[]) AS n (channel, payload)',
};
const RETRY_MS = { first: 100, most: 5_000 };
/** An answer now and then, so that a connection that leads nowhere is noticed. */
const IDLE_MS = 10_000;
/** That wait to be sent, and what PostgreSQL takes of one. */
const MOST_PAYLOADS = 256;
const PAYLOAD_BYTES = 7_999;

export interface BusListener {
  hint(environment: string): void;
  published(environment: string, revision: number): void;
  said(payload: string): void;
  /** messages may have been missed up to now */
  connected(): void;
}

/**
 * Messages between masters by LISTEN and NOTIFY on a connection of its own: hints that save time, no more. What is said
 * while the connection is away is lost. What waits to be sent is one hint and one revision per environment, and a number of payloads.
 */
export class Bus {
  private readonly bell = new Bell();
  private readonly stopping = new AbortController();
  private readonly hints = new Set<string>();
  private readonly revisions = new Map<string, number>();
  private payloads: string[] = [];
  private running: Promise<void> | undefined;

  constructor(
    private readonly url: string,
    private readonly listener: BusListener,
    private readonly log: Logger,
  ) {}

  start(): void {
    this.running ??= this.run();
  }

  sayHint(environment: string): void {
    this.hints.add(environment);
    this.bell.ring();
  }

  sayPublished(environment: string, revision: number): void {
    this.revisions.set(environment, revision);
    this.bell.ring();
  }

  /** @returns false: it will not be sent, as it is too long, or too many wait */
  say(payload: string): boolean {
    if (this.payloads.length >= MOST_PAYLOADS || Buffer.byteLength(payload) > PAYLOAD_BYTES) return false;
    this.payloads.push(payload);
    this.bell.ring();
    return true;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.bell.ring();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    for (let failures = 0; !signal.aborted; ) {
      let session: Session | undefined;
      try {
        session = await Session.open(this.url, 'helio-bus');
        session.whenLost(() => this.bell.ring());
        session.onNotification((channel, payload) => this.heard(channel, payload));
        await session.run(LISTEN);
        failures = 0;
        this.listener.connected();
        await this.talk(session);
      } catch (error) {
        this.log.debug({ cause: (error as Error).message }, 'masters do not hear of each other for a moment');
        await sleep(backoffMs(failures++, RETRY_MS.first, RETRY_MS.most, Math.random), signal);
      } finally {
        await session?.end();
      }
    }
  }

  private async talk(session: Session): Promise<void> {
    // once more after it was told to stop, for what was said last
    for (let last = false; !last; ) {
      await this.bell.wait(IDLE_MS);
      if (session.lost) throw session.lost;
      last = this.stopping.signal.aborted;
      const hints = [...this.hints];
      const revisions = [...this.revisions].map(([environment, revision]) => `${environment} ${revision}`);
      const { payloads } = this;
      this.hints.clear();
      this.revisions.clear();
      this.payloads = [];
      await session.rows(SEND, [
        [...hints.map(() => HINT), ...revisions.map(() => PUBLISHED), ...payloads.map(() => TALK)],
        [...hints, ...revisions, ...payloads],
      ]);
    }
  }

  private heard(channel: string, payload: string): void {
    if (channel === TALK) return this.listener.said(payload);
    const [environment = '', revision = ''] = payload.split(' ');
    if (channel === HINT) this.listener.hint(environment);
    else if (channel === PUBLISHED && /^\d+$/.test(revision)) this.listener.published(environment, Number(revision));
  }
}
