import type { Faults } from './faults.js';
import { describe, isObject, type JsonObject, own, type Place, shorten } from './place.js';

/** Longer chains of references are circular, or might as well be. */
const MAX_HOPS = 32;

interface PathItem {
  item: JsonObject;
  /** methods that stand beside a `$ref` and in what it refers to */
  hidden: string[];
}

/**
 * Follows the `$ref`s of path items inside of one document. Fields beside a `$ref` win over those that it refers to.
 */
export class PathItems {
  readonly referred = new Set<unknown>();

  constructor(
    private readonly root: JsonObject,
    private readonly faults: Faults,
  ) {}

  /** @returns undefined after adding a fault: without its path item, operations would be lost */
  resolve(value: unknown, place: Place): PathItem | undefined {
    let item: JsonObject = {};
    const hidden: string[] = [];
    for (let hop = 0; hop <= MAX_HOPS; hop += 1) {
      if (!isObject(value)) {
        this.faults.add(
          place,
          hop === 0 ? `is ${describe(value)}` : `refers to ${describe(value)}`,
          'a path item: an object of operations',
        );
        return undefined;
      }
      hidden.push(...Object.keys(value).filter((field) => field !== '$ref' && Object.hasOwn(item, field)));
      item = { ...value, ...item };
      const ref = own(value, '$ref');
      if (ref === undefined) return { item, hidden };
      if (typeof ref !== 'string' || !/^#(?:\/|$)/.test(ref)) {
        this.faults.add(
          [...place, '$ref'],
          `is ${describe(ref)}`,
          'a reference inside of the document, like #/components/pathItems/Pet; bundle it into one file',
        );
        return undefined;
      }
      value = this.at(ref);
      this.referred.add(value);
      if (value === undefined) {
        this.faults.add([...place, '$ref'], `refers to ${shorten(ref, 200)}, which the document does not have`);
        return undefined;
      }
    }
    this.faults.add([...place, '$ref'], `goes in a circle, or through more than ${MAX_HOPS} references`);
    return undefined;
  }

  /** What a JSON pointer (RFC 6901) in a fragment refers to. */
  private at(ref: string): unknown {
    let value: unknown = this.root;
    for (const part of ref.slice(1).split('/').slice(1)) {
      value = own(value, decode(part).replaceAll('~1', '/').replaceAll('~0', '~'));
    }
    return value;
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a % that encodes nothing stands for itself
  }
}
