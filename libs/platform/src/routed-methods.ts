/** A path as routes have it, and the methods that it is there for. */
interface Place {
  path: RegExp;
  methods: string[];
}

/** Which methods the paths of a router are there for: what a 405 says of a path that has no route for the one that was asked. */
export class RoutedMethods {
  private readonly places = new Map<string, Place>();

  /** @param url `:name` stands for one segment, and `*` at the end for any */
  add(url: string, methods: string | readonly string[]): void {
    const place = this.places.get(url) ?? { path: pathOf(url), methods: [] };
    this.places.set(url, place);
    place.methods.push(...[methods].flat());
  }

  /** @returns as an Allow header has it; null: the path is there for none */
  allow(path: string): string | null {
    const found = [...this.places.values()].filter((place) => place.path.test(path));
    if (found.length === 0) return null;
    return [...new Set(found.flatMap(({ methods }) => methods))].sort().join(', ');
  }
}

function pathOf(url: string): RegExp {
  const segments = url.split('/').map((segment) => {
    if (segment.startsWith(':')) return '[^/]+';
    return segment === '*' ? '.*' : segment.replaceAll(/[^\w-]/g, '\\$&');
  });
  return new RegExp(`^${segments.join('/')}$`);
}
