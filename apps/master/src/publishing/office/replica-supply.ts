/** A replica that has followed the chain further than this database knows it. Nothing of it is believed before it was verified. */
export interface ReplicaAhead {
  replica: string;
  epoch: number;
  revision: number;
}

/** Revisions that replicas have: what a master asks for that has forgotten what it published. The live stream is one. */
export interface ReplicaSupply {
  /** those that are connected to this process and have a newer revision than `revision`, the newest first */
  ahead(environment: string, revision: number): ReplicaAhead[];
  /**
   * The exact bytes of revisions `from` to `to`, in order, as far as the replica still has them.
   *
   * @throws when it cannot be asked, or does not answer in time
   */
  fetch(environment: string, replica: string, from: number, to: number, signal: AbortSignal): AsyncIterable<Buffer>;
}

/** Where the live stream puts itself: the publishers are made before it. */
export class ReplicaSupplies {
  private supply: ReplicaSupply | null = null;
  private listener: (environment: string) => void = () => undefined;

  register(supply: ReplicaSupply): void {
    this.supply = supply;
  }

  get(): ReplicaSupply | null {
    return this.supply;
  }

  /** A replica has just said that it has more than the database. */
  claimed(environment: string): void {
    this.listener(environment);
  }

  /** Whoever publishes wants to know. */
  onClaim(listener: (environment: string) => void): void {
    this.listener = listener;
  }
}
