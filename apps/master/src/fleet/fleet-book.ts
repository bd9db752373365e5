import type { ReplicaStatus } from '#model';
import { backoffMs, type Logger } from '#platform';
import type { Query } from '../publishing/options.js';
import type { ConnectedReplica } from './connected-replica.js';
import { type PlaceWritten, type Superseded, writePlaces } from './write-places.js';

export interface FleetBookOptions {
  query: Query;
  /** what this process calls itself */
  instance: string;
  log: Logger;
  /** milliseconds of a clock that is not set back */
  now: () => number;
}

/** PostgreSQL is written to at most so often, for all replicas together. */
const WRITE_MS = 200;
/** A status in which nothing of interest changed is written at most so often. */
const STATUS_MS = 5_000;
const RETRY_MS = { first: 200, most: 5_000 };
/** Rows of one statement. */
const BATCH = 1_000;

/** What is known of one connection's replica, and not all written. */
interface Place extends PlaceWritten {
  /** when a status was written last */
  statusAt: number;
  /** what the last one said that was written, as far as it is of interest at once */
  noted: string;
}

/**
 * What the replicas that are connected to this process say: positions in memory at once, for who waits for them; and in
 * PostgreSQL, for everybody, in batches.
 */
export class FleetBook {
  private readonly places = new Map<string, Place>();
  /** by replica: what an older connection has to say counts no more */
  private readonly dirty = new Map<string, Place>();
  private readonly listeners = new Set<(environment: string) => void>();
  private superseded: (superseded: Superseded[]) => void = () => undefined;
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> | undefined;
  private writtenAt = 0;
  private failures = 0;

  constructor(private readonly options: FleetBookOptions) {}

  /** The newest revision that it acknowledged to this process; undefined: it is not connected here, or said nothing yet. */
  revisionOf(replica: string): number | undefined {
    return this.places.get(replica)?.revision ?? undefined;
  }

  /** Told when a replica of an environment has moved. @returns how to unsubscribe */
  onMoved(listener: (environment: string) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Told of connections that do not speak for their replicas any more. */
  onSuperseded(listener: (superseded: Superseded[]) => void): void {
    this.superseded = listener;
  }

  connected(replica: ConnectedReplica): void {
    const place = {
      replica,
      gone: false,
      heard: false,
      revision: null,
      lagMs: null,
      status: null,
      statusAt: 0,
      noted: '',
    };
    this.places.set(replica.id, place);
    this.touch(place);
  }

  disconnected(replica: ConnectedReplica): void {
    const place = this.placeOf(replica);
    if (!place) return;
    this.places.delete(replica.id);
    place.gone = true;
    this.touch(place);
  }

  acknowledged(replica: ConnectedReplica, revision: number, lagMs: number | null): void {
    const place = this.placeOf(replica);
    if (place) this.moved(place, revision, lagMs);
  }

  reported(replica: ConnectedReplica, status: ReplicaStatus): void {
    const place = this.placeOf(replica);
    if (!place) return;
    place.status = status;
    this.moved(place, status.revision, status.lagMs);
  }

  /** Writes what is left, once; for when the process stops. */
  async stop(): Promise<void> {
    await this.writing;
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.write();
    clearTimeout(this.timer);
  }

  private placeOf({ id, since }: ConnectedReplica): Place | undefined {
    const place = this.places.get(id);
    return place?.replica.since === since ? place : undefined; // else the connection was replaced
  }

  private moved(place: Place, revision: number, lagMs: number | null): void {
    Object.assign(place, { revision, lagMs, heard: true });
    this.touch(place);
    for (const listener of this.listeners) listener(place.replica.environment);
  }

  private touch(place: Place): void {
    this.dirty.set(place.replica.id, place);
    this.schedule();
  }

  private schedule(): void {
    if (this.timer !== undefined || this.writing !== undefined || this.dirty.size === 0) return;
    const { now } = this.options;
    const wait =
      this.failures === 0
        ? this.writtenAt + WRITE_MS - now()
        : backoffMs(this.failures, RETRY_MS.first, RETRY_MS.most, Math.random);
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.writing = this.write().finally(() => {
          this.writing = undefined;
          this.schedule();
        });
      },
      Math.max(0, wait),
    );
  }

  private async write(): Promise<void> {
    const { query, instance, log, now } = this.options;
    const at = now();
    this.writtenAt = at;
    const places = [...this.dirty.values()].slice(0, BATCH);
    if (places.length === 0) return;
    const written = places.map((place) => this.written(place, at));
    for (const { replica } of places) this.dirty.delete(replica.id);
    try {
      const superseded = await writePlaces(query, instance, written);
      this.failures = 0;
      if (superseded.length > 0) this.superseded(superseded);
    } catch (error) {
      if (this.failures++ === 0)
        log.warn({ cause: (error as Error).message }, 'where replicas stand cannot be written; it is tried again');
      for (const place of places) {
        Object.assign(place, { noted: '', heard: true });
        if (!this.dirty.has(place.replica.id)) this.dirty.set(place.replica.id, place);
      }
    }
  }

  private written(place: Place, at: number): PlaceWritten {
    const { replica, gone, heard, revision, lagMs } = place;
    place.heard = false;
    return { replica, gone, heard, revision, lagMs, status: this.statusToWrite(place, at) };
  }

  private statusToWrite(place: Place, at: number): ReplicaStatus | null {
    const { status } = place;
    if (!status) return null;
    const { revision: _1, epoch: _2, hash: _3, root: _4, head: _5, lagMs: _6, traffic: _7, ...interesting } = status;
    const noted = JSON.stringify(interesting);
    if (noted === place.noted && at - place.statusAt < STATUS_MS && !place.gone) return null;
    Object.assign(place, { noted, statusAt: at });
    return status;
  }
}
