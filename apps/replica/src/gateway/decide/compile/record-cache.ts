/**
 * A bounded cache: what is asked for often stays. Two generations instead of a list: when the younger one is full the
 * older one is dropped, so that an entry survives if it was used since, and a hit costs one look-up.
 */
export class RecordCache<V> {
  private young = new Map<string, V>();
  private old = new Map<string, V>();

  /** @param capacity entries of each generation */
  constructor(private readonly capacity: number) {}

  get(key: string): V | undefined {
    const value = this.young.get(key);
    if (value !== undefined) return value;
    const aged = this.old.get(key);
    if (aged !== undefined) this.set(key, aged);
    return aged;
  }

  set(key: string, value: V): void {
    if (this.young.size >= this.capacity) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(key, value);
  }

  delete(key: string): void {
    this.young.delete(key);
    this.old.delete(key);
  }

  clear(): void {
    this.young.clear();
    this.old.clear();
  }
}
