import type { ReplicaStatus, ToMaster } from '#model';

/** Acknowledgements of this long are one. */
const ACK_MS = 10;
/** A change of the status is told this much later, with all that came in between; without one, it is told every 5 s. */
const STATUS_MS = 100;
const STATUS_EVERY_MS = 5000;

export interface TellerOptions {
  send: (message: ToMaster) => void;
  /** where this replica serves */
  served: () => { revision: number; lagMs: number | null };
  status: () => ReplicaStatus;
}

/** What a replica says on one connection while it follows. */
export class StreamTeller {
  #ack: NodeJS.Timeout | null = null;
  #status: NodeJS.Timeout | null = null;
  #every: NodeJS.Timeout | null = null;

  constructor(private readonly options: TellerOptions) {}

  start(): void {
    this.#every = setInterval(() => this.#tellStatus(), STATUS_EVERY_MS);
    this.changed();
  }

  acknowledge(): void {
    this.#ack ??= setTimeout(() => {
      this.#ack = null;
      this.options.send({ type: 'ack', ...this.options.served() });
    }, ACK_MS);
    this.changed();
  }

  changed(): void {
    this.#status ??= setTimeout(() => {
      this.#status = null;
      this.#tellStatus();
    }, STATUS_MS);
  }

  stop(): void {
    for (const timer of [this.#ack, this.#status]) if (timer) clearTimeout(timer);
    if (this.#every) clearInterval(this.#every);
  }

  #tellStatus(): void {
    this.options.send({ type: 'status', status: this.options.status() });
  }
}
