import { TrustedKeys } from '#artifacts';

class Anybody extends TrustedKeys {
  constructor() {
    super([]);
  }

  override has(): boolean {
    return true;
  }

  override verify(): boolean {
    return true;
  }
}

/** Checks no signature: everything else can be proven all the same. */
export const ANYBODY: TrustedKeys = new Anybody();

/** Lets pass what is signed by keys that are not known, and remembers them. */
class Lenient extends TrustedKeys {
  constructor(
    keys: readonly string[],
    private readonly others: Set<string>,
  ) {
    super(keys);
  }

  override has(): boolean {
    return true;
  }

  override verify(keyId: Buffer, bytes: Buffer, signature: Buffer): boolean {
    if (super.has(keyId)) return super.verify(keyId, bytes, signature);
    this.others.add(keyId.toString('hex'));
    return true;
  }
}

/** The keys that were given, and those that the chain has named in what was proven so far. */
export class KeyRing {
  /** keys of revisions that could not be checked */
  readonly others = new Set<string>();
  private readonly keys: Set<string>;
  private readonly unchecked: TrustedKeys | null;
  private known: { strict: TrustedKeys; lenient: TrustedKeys };

  /** @param given public keys in base64; null: no signature is checked */
  constructor(given: readonly string[] | null) {
    this.keys = new Set(given ?? []);
    this.unchecked = given === null ? ANYBODY : null;
    this.known = this.make();
  }

  get isChecked(): boolean {
    return this.unchecked === null;
  }

  get strict(): TrustedKeys {
    return this.unchecked ?? this.known.strict;
  }

  /**
   * For revisions: each names the hash of the one before, so that the head proves all of them, also those which were signed
   * by keys of long ago.
   */
  get lenient(): TrustedKeys {
    return this.unchecked ?? this.known.lenient;
  }

  learn(keys: readonly string[]): void {
    for (const key of keys) this.keys.add(key);
    this.known = this.make();
  }

  private make(): KeyRing['known'] {
    const keys = [...this.keys];
    return { strict: new TrustedKeys(keys), lenient: new Lenient(keys, this.others) };
  }
}
