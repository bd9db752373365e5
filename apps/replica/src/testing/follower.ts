import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ArtifactStore, openStore, TrustedKeys } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { until } from '#harness';
import { createLog } from '#platform';
import { StateStore } from '../state/state-store.js';
import { type RevisionSource, StoreSource } from '../sync/revision-source.js';
import { SyncAgent } from '../sync/sync-agent.js';
import { lastFault } from '../sync/sync-machine.js';
import { temporaryDirectory } from './state-fixture.js';

/** A chain, a directory store that it is published to, and a replica's sync agent that follows it every 20 ms. */
export class Follower {
  readonly chain = new ChainMaker();
  readonly storeDirectory = temporaryDirectory();
  readonly stateDirectory = temporaryDirectory();
  readonly store: ArtifactStore = openStore(pathToFileURL(this.storeDirectory).href, { create: true });
  readonly refused: string[] = [];
  /** what each look at the head was told that is known already, and what it was answered */
  readonly looks: { etag: string | null; answer: string }[] = [];
  state = StateStore.open(this.stateDirectory, 'prod');
  agent = this.#newAgent();
  #stop = new AbortController();
  #running: Promise<void> | null = null;

  start(): void {
    this.#stop = new AbortController();
    this.#running = this.agent.run(this.#stop.signal);
  }

  /** Ends the agent and the state, and begins both anew from the disk; the agent is not started. */
  async restart(): Promise<void> {
    await this.#end();
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
    return new SyncAgent({
      state: this.state,
      source: this.#watched(new StoreSource(this.store, 'prod')),
      trusted: new TrustedKeys([this.chain.signer.publicKey]),
      log: createLog('test', 'silent'),
      pollMs: 20,
      onHead: () => undefined,
      onApplied: () => undefined,
      onChange: () => undefined,
      onRefused: (code) => void this.refused.push(code),
    });
  }

  #watched(source: StoreSource): RevisionSource {
    return {
      kind: source.kind,
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
