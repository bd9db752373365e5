import { TrustedKeys } from '#artifacts';
import { decodeTrustedKeys, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import type { Logger } from '#platform';
import type { StateStore } from '../state/state-store.js';

/** Whom this replica was told to believe. */
interface GivenKeys {
  /** by HELIO_TRUSTED_KEYS: whatever the chain says; null: that is not set */
  configured: readonly string[] | null;
  /** by the master at the join: until the chain names its own */
  joined: readonly string[];
}

/**
 * The keys that are believed: those that the chain names, from the revision on that carries them, and beside them those that
 * an operator has set. Without the latter a replica that slept while the keys were changed, and for so long that the
 * revisions which say so are kept nowhere any more, could not be helped.
 */
export class ChainTrust {
  #keys: TrustedKeys;
  #changes = -1;
  /** as the chain says it; null: nothing */
  #named: Buffer | null = null;

  constructor(
    private readonly given: GivenKeys,
    private readonly state: StateStore,
    private readonly log: Logger,
  ) {
    this.#keys = new TrustedKeys(given.configured ?? given.joined);
  }

  /** For what comes after the newest revision that was applied. */
  readonly keys = (): TrustedKeys => {
    const { settingChanges } = this.state;
    if (settingChanges !== this.#changes) {
      this.#read();
      this.#changes = settingChanges;
    }
    return this.#keys;
  };

  #read(): void {
    const { configured, joined } = this.given;
    const named = this.#entry();
    if (named === this.#named || (named && this.#named?.equals(named))) return;
    const keys = named && decodeTrustedKeys(named);
    if (named && !keys) {
      // A chain that a newer build may read. The keys of before go on, and what they have not signed stops here, with its reason.
      this.log.warn('the trusted keys that the chain names cannot be read; those of before are still believed');
      return;
    }
    this.#named = named;
    this.#keys = new TrustedKeys(keys ? [...keys, ...(configured ?? [])] : (configured ?? joined));
    if (!keys) return;
    if (this.#changes >= 0)
      this.log.info({ keys: keys.length }, 'the chain names the keys that are believed from now on');
    const others = configured?.filter((key) => !keys.includes(key)) ?? [];
    if (others.length > 0)
      this.log.warn(
        { keys: others },
        'HELIO_TRUSTED_KEYS has keys that the chain does not name; they are believed until they are taken out of it',
      );
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
