import type { Op } from '#model';
import type { ChangedEntry, StateReader, StateSnapshot } from '../state/state-snapshot.js';

/** A state without a disk below it, for tests of what reads one. */
export class MemoryState implements StateReader {
  private entries = new Map<string, Op>();
  private readonly history: ChangedEntry[][] = [];
  /** snapshots that nobody closed */
  open = 0;

  constructor(private readonly environment = 'prod') {}

  /** One revision. */
  apply(...ops: (Op | Op[])[]): void {
    this.entries = new Map(this.entries);
    for (const op of ops.flat()) {
      if (op.value === null) this.entries.delete(nameOf(op));
      else this.entries.set(nameOf(op), op);
    }
    this.history.push(ops.flat().map(({ table, key }) => ({ table, key })));
  }

  revision(): number {
    return this.history.length;
  }

  repairs(): number {
    return 0;
  }

  snapshot(): StateSnapshot {
    const { entries, environment } = this;
    const history = this.history.slice();
    this.open += 1;
    return {
      environment,
      epoch: 1,
      revision: history.length,
      repairs: 0,
      get: (table, key) => entries.get(nameOf({ table, key }))?.value ?? null,
      entries: (table) =>
        [...entries.values()]
          .filter((op) => op.table === table)
          .map(({ key, value }) => ({ key, value: value as Buffer })),
      changesSince: (revision) => {
        const changes = new Map(history.slice(revision).flatMap((list) => list.map((entry) => [nameOf(entry), entry])));
        return { entries: [...changes.values()], complete: true };
      },
      close: () => void (this.open -= 1),
    };
  }

  async close(): Promise<void> {}
}

function nameOf({ table, key }: ChangedEntry): string {
  return `${table} ${key.toString('hex')}`;
}
