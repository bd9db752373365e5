import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ArtifactStore, openStore } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { until } from '#harness';
import type { ReplicaStatus } from '#model';
import { createLog } from '#platform';
import { StateStore } from '../state/state-store.js';
import { ChainTrust } from '../sync/chain-trust.js';
import { type RevisionSource, StoreSource } from '../sync/revision-source.js';
import { RunState } from '../sync/run-state.js';
import { StreamClient } from '../sync/stream/stream-client.js';
import type { Sync } from '../sync/sync.js';
import { SyncAgent } from '../sync/sync-agent.js';
import { lastFault } from '../sync/sync-machine.js';
import { temporaryDirectory } from './state-fixture.js';

export interface FollowerOptions {
  masters?: readonly string[];
  others?: readonly RevisionSource[];
  streamPollMs?: number;
  scrubMs?: number;
}

/** A chain, a directory store that it is published to, and a replica's sync agent that follows it every 20 ms. */
export class Follower {
  readonly chain = new ChainMaker();
  /** what the replica was given to trust when it joined */
  readonly trusted = [this.chain.signer.publicKey];
  /** and by HELIO_TRUSTED_KEYS, from its next start on */
  configured: readonly string[] | null = null;
  readonly storeDirectory = temporaryDirectory();
  readonly stateDirectory = temporaryDirectory();
  readonly store: ArtifactStore = openStore(pathToFileURL(this.storeDirectory).href, { create: true });
  readonly refused: string[] = [];
  /** what its agent has warned of in its log */
  readonly warned: unknown[] = [];
  readonly streamPollMs: number;
  readonly scrubMs: number;
  readonly others: readonly RevisionSource[];
  readonly #masters: readonly string[];
  stream: StreamClient | null = null;
  /** what each look at the head was told that is known already, and what it was answered */
  readonly looks: { etag: string | null; answer: string }[] = [];
  state = StateStore.open(this.stateDirectory, 'prod');
  agent: SyncAgent;
  #stop = new AbortController();
  #running: Promise<void> | null = null;

  /** @param others more sources, asked after its own store; masters: URLs of streams; polls are rare while it streams */
  constructor({ masters = [], others = [], scrubMs = 3_600_000, streamPollMs = 60_000 }: FollowerOptions = {}) {
    this.scrubMs = scrubMs;
    this.#masters = masters;
    this.others = others;
    this.streamPollMs = streamPollMs;
    this.agent = this.#newAgent();
  }

  start(): void {
    this.#running = this.agent.run(this.#stop.signal);
  }

  /**
   * Ends the agent and the state, and begins both anew from the disk; the agent is not started.
   *
   * @param meanwhile is done while nobody has the state open
   */
  async restart(meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    await this.#end();
    await meanwhile();
    this.state = StateStore.open(this.stateDirectory, 'prod');
    this.agent = this.#newAgent();
  }

  async remove(): Promise<void> {
    await this.#end();
    for (const directory of [this.storeDirectory, this.stateDirectory])
      rmSync(directory, { recursive: true, force: true });
  }

  /** Waits until it is at a revision, and nothing is wrong. */
  reaches(revision: number): Promise<unknown> {
    const { agent } = this;
    const there = () =>
      agent.sync.revision === revision && agent.sync.state === 'polling' && lastFault(agent.sync) === null;
    return until(there, { what: `revision ${revision}`, every: 5 });
  }

  /** Waits until the agent says that something is wrong with this code. */
  async faults(code: string): Promise<string> {
    const found = () => Object.values(this.agent.sync.faults).find((fault) => fault?.code === code);
    return (await until(found, { what: `the fault ${code}`, every: 5 })).detail;
  }

  /** Puts bytes where an object of the store lies, which the store itself would not do. */
  overwrite(name: string, bytes: Buffer): void {
    writeFileSync(join(this.storeDirectory, name), bytes);
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#running = null;
    await this.state.close();
  }

  #newAgent(): SyncAgent {
    const log = createLog('test', 'silent');
    log.warn = (...args: unknown[]): void => void this.warned.push(args);
    this.#stop = new AbortController();
    this.stream = this.#masters.length > 0 ? this.#newStream() : null;
    return new SyncAgent({
      state: this.state,
      sources: [this.#watched(new StoreSource(this.store, 'prod')), ...this.others],
      stream: this.stream,
      trusted: new ChainTrust({ configured: this.configured, joined: this.trusted }, this.state, log).keys,
      scrub: { firstMs: this.scrubMs, everyMs: this.scrubMs, pauseMs: 1 },
      log,
      pollMs: 20,
      streamPollMs: this.streamPollMs,
      onHead: () => undefined,
      onApplied: () => this.stream?.acknowledge(),
      onChange: () => undefined,
      onRefused: (code) => void this.refused.push(code),
    });
  }

  #newStream(): StreamClient {
    const { state } = this;
    return new StreamClient({
      urls: this.#masters,
      token: 'hg_replica_1',
      position: () => state.position,
      served: () => ({ revision: state.position.revision, lagMs: 0 }),
      delta: (revision) => state.delta(revision),
      status: () => sampleStatus(this.agent.sync),
      log: createLog('test', 'silent'),
      running: new RunState(this.#stop.signal, { baseMs: 20, maxMs: 100 }),
      heartbeatMs: 300,
    });
  }

  #watched(source: StoreSource): RevisionSource {
    return {
      kind: source.kind,
      reader: source.reader,
      description: source.description,
      head: async (etag, signal) => {
        const answer = await source.head(etag, signal);
        this.looks.push({ etag, answer: answer.kind });
        return answer;
      },
      revision: (revision, limitBytes, signal) => source.revision(revision, limitBytes, signal),
    };
  }
}

/** As much of a status as a master needs. */
function sampleStatus({ head, revision, state }: Readonly<Sync>): ReplicaStatus {
  return {
    replica: 'eu-west-1',
    region: 'eu-west',
    environment: 'prod',
    build: 'test',
    state,
    source: 'stream',
    freshness: 'fresh',
    epoch: 1,
    revision,
    hash: null,
    root: null,
    head,
    lagMs: null,
    throttle: 'local',
    nacks: [],
    lastError: null,
  };
}
