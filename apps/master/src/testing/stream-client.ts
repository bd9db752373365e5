import { once } from 'node:events';
import { expect } from 'vitest';
import WebSocket from 'ws';
import { decodeHeader, GENESIS_HASH, positionAfter, type TrustedKeys, verifyHead, verifyRevision } from '#artifacts';
import { type ReplicaStatus, STREAM_PATH, STREAM_PROTOCOL, type ToMaster, type ToReplica, toReplica } from '#model';
import { until } from '#harness';

/** A replica's end of the stream, as a test holds it: it takes nothing but the next revision of the chain. */
export class StreamClient {
  readonly messages: ToReplica[] = [];
  /** the newest revision that it took */
  position = { environment: 'prod', epoch: 0, revision: 0, hash: GENESIS_HASH as Buffer };
  bytes = 0;
  closed: { code: number; reason: string } | null = null;
  /** what was sent to it and should not have been */
  fault: Error | null = null;
  /** what it does on its own with a revision: acknowledges it, or nothing */
  acknowledges = true;

  private constructor(
    readonly socket: WebSocket,
    private readonly trusted: TrustedKeys,
  ) {
    socket.on('message', (data, binary) => {
      try {
        this.heard(data as Buffer, binary);
      } catch (error) {
        this.fault ??= error as Error;
        socket.terminate();
      }
    });
    socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
    socket.on('error', () => undefined);
  }

  /** @param url of a master; rejects with its answer where that is no 101 */
  static async connect(
    url: string,
    token: string,
    trusted: TrustedKeys,
    path = STREAM_PATH,
    headers: Record<string, string> = {},
  ): Promise<StreamClient> {
    const socket = new WebSocket(url.replace(/^http/, 'ws') + path, STREAM_PROTOCOL, {
      headers: { authorization: `Bearer ${token}`, ...headers },
      perMessageDeflate: false,
    });
    const client = new StreamClient(socket, trusted);
    await once(socket, 'open');
    expect(socket.protocol).toBe(STREAM_PROTOCOL);
    return client;
  }

  send(message: ToMaster): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Begins anew where it stands. @returns the answer */
  async follow(from: { epoch?: number; revision?: number; hash?: string } = {}): Promise<Intent> {
    const { epoch, revision, hash } = this.position;
    const count = this.intents.length;
    this.send({ type: 'follow', epoch, revision, hash: hash.toString('hex'), ...from });
    await until(() => this.intents.length > count || this.closed, { what: 'an intent' });
    const intent = this.intents[count];
    if (!intent) throw new Error(`closed instead: ${JSON.stringify(this.closed)}`);
    return intent;
  }

  get intents(): Intent[] {
    return this.messages.filter((message) => message.type === 'intent');
  }

  /** Revisions of the heads that it was told, each verified. */
  get heads(): number[] {
    return this.messages.flatMap((message) =>
      'head' in message
        ? [verifyHead(Buffer.from(message.head), this.position.environment, this.trusted).revision]
        : [],
    );
  }

  async reaches(revision: number): Promise<void> {
    await until(() => this.position.revision >= revision || this.closed, {
      what: `revision ${revision}`,
      within: 60_000,
    });
    expect([this.position.revision >= revision, this.fault]).toEqual([true, null]);
  }

  async closes(): Promise<string> {
    await until(() => this.closed, { what: 'the connection to be closed', within: 60_000 });
    return `${this.closed?.code} ${this.closed?.reason}`;
  }

  async end(): Promise<void> {
    this.socket.close();
    await this.closes();
  }

  private heard(data: Buffer, binary: boolean): void {
    if (!binary) {
      this.messages.push(toReplica.parse(JSON.parse(data.toString('utf8'))));
      return;
    }
    const verified = verifyRevision(data, this.position, this.trusted);
    expect(decodeHeader(data).header.revision).toBe(this.position.revision + 1);
    this.position = positionAfter(verified);
    this.bytes += data.length;
    if (this.acknowledges) this.send({ type: 'ack', revision: this.position.revision, lagMs: 1 });
  }
}

type Intent = Extract<ToReplica, { type: 'intent' }>;

export function statusOf(
  replica: { replica: string; region: string; environment: string },
  change: Partial<ReplicaStatus> = {},
): ReplicaStatus {
  return {
    replica: replica.replica,
    region: replica.region,
    environment: replica.environment,
    build: '0.1.0',
    state: 'live',
    source: 'stream',
    freshness: 'fresh',
    epoch: 1,
    revision: 0,
    hash: null,
    root: null,
    head: 0,
    lagMs: null,
    throttle: 'local',
    nacks: [],
    lastError: null,
    ...change,
  };
}
