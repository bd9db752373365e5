/** Makes names of what other gateways call things, none of them twice. */
export class Names {
  private readonly taken = new Set<string>();

  /** @param max characters @param letterFirst as ids of plans have to begin */
  constructor(
    private readonly max: number,
    private readonly letterFirst = false,
  ) {}

  take(wanted: string, fallback: string): string {
    const name = slug(wanted, this.max, this.letterFirst) || fallback;
    let free = name;
    for (let number = 2; this.taken.has(free); number++) {
      const end = `-${number}`;
      free = name.slice(0, this.max - end.length) + end;
    }
    this.taken.add(free);
    return free;
  }
}

/** Names of APIs: two versions of one share theirs. */
export class ApiNames {
  private readonly ofVersion = new Map<string, Names>();

  /** `orders-v2` is `orders` where it is version v2 of it. */
  take(wanted: string, version: string): string {
    const names = this.ofVersion.get(version) ?? new Names(64);
    this.ofVersion.set(version, names);
    const [, before = ''] = /^(.+)[-_. ](v[\d.]+)$/i.exec(wanted) ?? [];
    const own = before !== '' && wanted.toLowerCase().endsWith(version);
    return names.take(own ? before : wanted, 'api');
  }
}

/** `Weather API (new)` gives `weather-api-new`; empty where nothing is left. */
export function slug(text: string, max: number, letterFirst = false): string {
  const plain = text
    .slice(0, 1000)
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\p{M}'’]/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(letterFirst ? /^[^a-z]+/ : /^-+/, '');
  return plain.slice(0, max).replace(/-+$/, '');
}
