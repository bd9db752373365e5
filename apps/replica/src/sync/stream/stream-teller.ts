import type { ReleaseNumbersReport, ReplicaStatus, ToMaster } from '#model';

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
  /** what was counted since it was last asked for; told with every status that is not of a change */
  numbers: () => ReleaseNumbersReport | undefined;
}

/** What a replica says on one connection while it follows. */
export class StreamTeller {
  #ack: NodeJS.Timeout | null = null;
  #status: NodeJS.Timeout | null = null;
  #every: NodeJS.Timeout | null = null;
  /** what cannot be used here, as it was told last */
  #nacks = '';

  constructor(private readonly options: TellerOptions) {}

  start(): void {
    this.#every = setInterval(() => this.#tellStatus(this.options.numbers()), STATUS_EVERY_MS);
    this.changed();
  }

  acknowledge(): void {
    this.#ack ??= setTimeout(() => {
      this.#ack = null;
      // whoever hears that a revision is here knows by then what of it cannot be used: a wave of a promotion ends by this
      if (JSON.stringify(this.options.status().nacks) !== this.#nacks) this.#tellStatus();
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

  #tellStatus(numbers?: ReleaseNumbersReport): void {
    const status = this.options.status();
    this.#nacks = JSON.stringify(status.nacks);
    this.options.send({ type: 'status', status: { ...status, numbers } });
  }
}
