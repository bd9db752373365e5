import { TrustedKeys } from '#artifacts';
import { decodeTrustedKeys, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import type { Logger } from '#platform';
import type { StateStore } from '../state/state-store.js';

/**
 * The keys that are believed: those that the chain names, from the revision on that carries them, and until one does,
 * those that this replica was given.
 */
export class ChainTrust {
  #keys: TrustedKeys;
  #revision = -1;
  /** as the chain says it; null: nothing */
  #named: Buffer | null = null;

  constructor(
    private readonly given: readonly string[],
    private readonly state: StateStore,
    private readonly log: Logger,
  ) {
    this.#keys = new TrustedKeys(given);
  }

  /** For what comes after the newest revision that was applied. */
  readonly keys = (): TrustedKeys => {
    const { revision } = this.state.position;
    if (revision !== this.#revision) {
      this.#read();
      this.#revision = revision;
    }
    return this.#keys;
  };

  #read(): void {
    const named = this.#entry();
    if (named === this.#named || (named && this.#named?.equals(named))) return;
    const keys = named ? decodeTrustedKeys(named) : this.given;
    if (!keys) {
      // A chain that a newer build may read. The keys of before go on, and what they have not signed stops here, with its reason.
      this.log.warn('the trusted keys that the chain names cannot be read; those of before are still believed');
      return;
    }
    this.#named = named;
    this.#keys = new TrustedKeys(keys);
    if (this.#revision >= 0)
      this.log.info({ keys: keys.length }, 'the chain names the keys that are believed from now on');
  }

  #entry(): Buffer | null {
    const snapshot = this.state.snapshot();
    try {
      return snapshot.get(TABLE.setting, TRUSTED_KEYS_SETTING);
    } finally {
      snapshot.close();
    }
  }
}
