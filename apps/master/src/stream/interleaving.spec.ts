import { EventEmitter } from 'node:events';
import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type WebSocket from 'ws';
import { GENESIS_HASH, positionAfter, type SealedRevision, TrustedKeys, verifyHead, verifyRevision } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { STREAM_LIMITS, TABLE, toReplica } from '#model';
import type { Query } from '../publishing/options.js';
import { EnvironmentHub } from './environment-hub.js';
import type { StreamOptions } from './options.js';
import { StreamChain } from './stream-chain.js';
import { StreamConnection } from './stream-connection.js';

const BODY = Buffer.alloc(600 * 1024, 'x');
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A chain, a database that answers when the test says so, one hub, and replicas that believe nothing but the next revision. */
class World {
  readonly maker = new ChainMaker();
  readonly trusted = new TrustedKeys([this.maker.signer.publicKey]);
  readonly revisions: SealedRevision[] = [];
  readonly replicas = [new Replica(this, 0), new Replica(this, 1), new Replica(this, 2)];
  readonly hub: EnvironmentHub;
  private readonly answers: (() => void)[] = [];
  private down = false;
  now = 1_000;

  constructor() {
    const query: Query = <T extends object>(sql: string, parameters: unknown[] = []): Promise<T[]> =>
      new Promise((resolve, reject) => {
        const rows = this.rows(sql, parameters) as T[]; // as they were when it was asked
        this.answers.push(() => (this.down ? reject(new Error('the database is away')) : resolve(rows)));
      });
    const told = (): void => undefined;
    const options: StreamOptions = {
      query,
      signer: this.maker.signer,
      refusal: () => null,
      fleet: { connected: told, disconnected: told, acknowledged: told, reported: told },
      usage: { take: () => Promise.resolve({ refused: null }) },
      measured: told,
      tailed: told,
      limits: { ...STREAM_LIMITS, bufferedBytes: 1024 * 1024 },
      log: pino({ level: 'silent' }),
      now: () => this.now,
    };
    this.hub = new EnvironmentHub('prod', new StreamChain(query), options, told);
  }

  private rows(sql: string, [, revision]: unknown[]): object[] {
    const row = ({ header, hash, bytes }: SealedRevision) => ({
      revision: String(header.revision),
      epoch: header.epoch,
      hash,
      bytes,
      issued_at: new Date(header.issuedAt),
      root: header.root,
      snapshot: null,
      snapshot_bytes: null,
    });
    const newest = this.revisions.at(-1);
    if (/FROM chain/.test(sql))
      return [newest ? row(newest) : { epoch: 1, revision: '0', hash: GENESIS_HASH, root: null, snapshot: null }];
    if (/SELECT hash/.test(sql)) return this.revisions.slice(Number(revision) - 1, Number(revision)).map(row);
    if (/FROM unnest/.test(sql)) return [];
    return this.revisions.slice(Number(revision), Number(revision) + 3).map(row); // batches are small
  }

  /** @param how from this process, from another one that is heard, or from one that is not */
  publish(how: 'here' | 'heard' | 'unheard', large: boolean): void {
    const value = large ? BODY : Buffer.from(`v${this.revisions.length}`);
    const sealed = this.maker.seal([{ table: TABLE.plan, key: Buffer.from('gold'), value }]);
    this.revisions.push(sealed);
    const { epoch, revision, issuedAt } = sealed.header;
    if (how === 'unheard') return;
    const bytes = { epoch, revision, hash: sealed.hash, bytes: sealed.bytes, issuedAt };
    this.hub.published({ environment: 'prod', revision, xids: null, sealed: how === 'here' ? bytes : null });
  }

  async answer(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      this.answers.shift()?.();
      await turn();
    }
  }

  async fail(): Promise<void> {
    this.down = true;
    await this.answer(this.answers.length);
    this.down = false;
  }

  /** All is well from now on: what was missed comes with the next heartbeats. */
  async heal(): Promise<void> {
    for (let n = 0; n < 80; n++) {
      if (n % 10 === 0) void this.hub.beat();
      await this.answer(4);
      for (const replica of this.replicas) replica.read(50);
      await turn();
    }
  }
}

class Replica {
  position = { environment: 'prod', epoch: 0, revision: 0, hash: GENESIS_HASH as Buffer };
  /** most bytes that waited for it at once */
  mostWaiting = 0;
  private socket: Wire | null = null;

  constructor(
    private readonly world: World,
    private readonly id: number,
  ) {}

  connect(): void {
    this.socket?.emit('close');
    const wire = new Wire((data, binary) => this.heard(data, binary));
    this.socket = wire;
    const { world, id } = this;
    const replica = { id: `r${id}`, region: 'eu', environment: 'prod', tokenHash: Buffer.alloc(32), since: '' };
    const limits = { ...STREAM_LIMITS, bufferedBytes: 1024 * 1024 };
    const connection = new StreamConnection(replica, wire as unknown as WebSocket, world.hub, limits);
    world.hub.join(connection);
    wire.on('close', () => world.hub.leave(connection));
    this.follow();
  }

  follow(): void {
    const { epoch, revision, hash } = this.position;
    const message = { type: 'follow', epoch, revision, hash: hash.toString('hex') };
    this.socket?.emit('message', Buffer.from(JSON.stringify(message)), false);
  }

  /** Takes so many frames off the wire. */
  read(count: number): void {
    const { socket } = this;
    if (!socket) return;
    this.mostWaiting = Math.max(this.mostWaiting, socket.waitingBytes);
    for (let n = 0; n < count; n++) socket.deliver();
  }

  /** What was under way is lost. */
  disconnect(): void {
    this.socket?.emit('close');
    this.socket = null;
  }

  get connected(): boolean {
    return this.socket !== null && !this.socket.closed;
  }

  private heard(data: Buffer, binary: boolean): void {
    if (binary) {
      this.position = positionAfter(verifyRevision(data, this.position, this.world.trusted)); // throws for any but the next
      return;
    }
    const message = toReplica.parse(JSON.parse(data.toString('utf8')));
    if (!('head' in message)) return;
    verifyHead(Buffer.from(message.head), 'prod', this.world.trusted);
    if (message.type === 'intent') expect(message.intent).not.toBe('full');
  }
}

/** As much of a WebSocket as a connection uses, with a reader that reads when it is told to. */
class Wire extends EventEmitter {
  closed = false;
  waitingBytes = 0;
  private readonly frames: { data: Buffer; binary: boolean; fin: boolean; sent: () => void }[] = [];
  private whole: Buffer[] = [];

  constructor(private readonly onMessage: (data: Buffer, binary: boolean) => void) {
    super();
    this.on('close', () => (this.closed = true));
  }

  send(data: Buffer | string, { binary, fin }: { binary: boolean; fin: boolean }, sent: () => void): void {
    const bytes = Buffer.from(data as Buffer);
    this.waitingBytes += bytes.length;
    this.frames.push({ data: bytes, binary, fin, sent });
  }

  ping(): void {
    this.emit('pong');
  }

  close(): void {
    this.emit('close');
  }

  terminate(): void {
    if (!this.closed) this.emit('close');
  }

  deliver(): void {
    const frame = this.frames.shift();
    if (!frame || this.closed) return;
    this.waitingBytes -= frame.data.length;
    this.whole.push(frame.data);
    if (frame.fin) this.onMessage(Buffer.concat(this.whole.splice(0)), frame.binary);
    frame.sent();
  }
}

type Step = (world: World) => void | Promise<void>;
const who = fc.nat(2);
const step: fc.Arbitrary<{ name: string; run: Step }> = fc.oneof(
  fc
    .tuple(fc.constantFrom('here' as const, 'heard' as const, 'unheard' as const), fc.integer({ min: 0, max: 9 }))
    .map(([how, size]) => ({
      name: `publish ${how}${size === 0 ? ' large' : ''}`,
      run: (world: World) => world.publish(how, size === 0),
    })),
  who.map((n) => ({ name: `connect ${n}`, run: (world: World) => world.replicas[n]?.connect() })),
  who.map((n) => ({ name: `disconnect ${n}`, run: (world: World) => world.replicas[n]?.disconnect() })),
  who.map((n) => ({
    name: `follow ${n}`,
    run: (world: World) => world.replicas[n]?.read(99) ?? world.replicas[n]?.follow(),
  })),
  fc.tuple(who, fc.nat(6)).map(([n, count]) => ({
    name: `read ${n} ${count}`,
    run: (world: World) => world.replicas[n]?.read(count),
  })),
  fc.nat(4).map((count) => ({ name: `answer ${count}`, run: (world: World) => world.answer(count) })),
  fc.constant({ name: 'the database fails', run: (world: World) => world.fail() }),
  fc.constant({ name: 'beat', run: (world: World) => void world.hub.beat() }),
  fc.constant({ name: 'turn', run: () => turn() }),
);

describe('R1 R12 whatever the order of publishing, connecting, reading and failing', () => {
  it('a follower that takes nothing but the next revision gets them all, within the bounds of its buffer', async () => {
    const steps = fc.array(step, { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const world = new World();
        for (const { run } of all) await run(world);
        for (const replica of world.replicas) if (!replica.connected) replica.connect();
        await world.heal();
        const reached = world.replicas.map(({ position }) => position.revision);
        expect(reached).toEqual(world.replicas.map(() => world.revisions.length));
        for (const { mostWaiting } of world.replicas) expect(mostWaiting).toBeLessThanOrEqual(1024 * 1024 + 8 * 1024);
      }),
      { numRuns: 150 },
    );
  });
});
