import type { Logger } from '#platform';
import type { RevisionSource } from './revision-source.js';
import type { FaultKey, Sync } from './sync.js';

export interface SyncTellerOptions {
  /** as the machine numbers them */
  sources: readonly RevisionSource[];
  log: Logger;
  /** state, revision or fault changed */
  onChange: () => void;
}

/** Tells people and the master what has become of following: once for each change, not for each poll. */
export class SyncTeller {
  #caughtUp = false;

  constructor(private readonly options: SyncTellerOptions) {}

  tell(before: Sync, after: Sync): void {
    const { log, onChange } = this.options;
    this.#tellFaults(before, after);
    // at revision 0 there is nothing yet that could have been caught up with
    const isLevel = after.revision > 0 && after.revision >= after.head;
    if ((after.state === 'polling' || after.state === 'live') && isLevel && !this.#caughtUp) {
      this.#caughtUp = true;
      log.info({ revision: after.revision }, 'caught up with the chain');
    }
    if (after.state !== before.state || after.revision !== before.revision || after.faults !== before.faults)
      onChange();
  }

  #tellFaults({ faults: before }: Sync, { faults, revision, sources }: Sync): void {
    const { log } = this.options;
    for (const about of new Set([...Object.keys(before), ...Object.keys(faults)]) as Set<FaultKey>) {
      const fault = faults[about];
      if (before[about]?.code === fault?.code) continue;
      if (about === 'state') {
        if (fault) log.error({ code: fault.code, detail: fault.detail }, 'the state on the disk is damaged');
        else log.info({ revision }, 'the state on the disk is whole again');
        continue;
      }
      const source = this.#describe(about);
      if (fault) log.warn({ source, code: fault.code, detail: fault.detail }, 'cannot follow the chain from here');
      else if (sources[numberOf(about)]?.answers === false)
        log.info({ source, revision }, 'this source is not needed for now: the chain is followed from elsewhere');
      else log.info({ source, revision }, 'following the chain from here again');
    }
  }

  #describe(about: FaultKey): string {
    return this.options.sources[numberOf(about)]?.description ?? about;
  }
}

/** Of the source that a fault is about; -1: of none. */
function numberOf(about: FaultKey): number {
  return Number(about.split(' ')[1] ?? -1);
}
