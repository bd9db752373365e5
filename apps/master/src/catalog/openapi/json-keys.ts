import type { Place } from './place.js';

interface Container {
  /** keys seen in an object; null for a list */
  keys: Set<string> | null;
  /** position of the next item of a list */
  index: number;
}

const BACKSLASH = 0x5c;

/**
 * Walks over the keys and list items of a text that JSON.parse has accepted, with their offsets. JSON.parse tells
 * neither where something stood nor that a key came twice, and of two equal paths it would silently drop the first.
 *
 * @param visit called with the depth (0 in the root), the key or index, whether the object had the key already, and its
 *   offset; `false` ends the walk
 */
function walkKeys(
  text: string,
  visit: (depth: number, key: string | number, twice: boolean, offset: number) => boolean,
): void {
  const stack: Container[] = [];
  let top: Container | undefined;
  let keyNext = false;
  const item = (offset: number): boolean => {
    if (top === undefined || top.keys !== null) return true;
    top.index += 1;
    return visit(stack.length - 1, top.index - 1, false, offset);
  };
  for (let at = 0; at < text.length; at += 1) {
    switch (text[at]) {
      case '"': {
        const end = endOfString(text, at);
        if (keyNext && top?.keys) {
          const raw = text.slice(at + 1, end);
          const key = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
          if (!visit(stack.length - 1, key, top.keys.has(key), at)) return;
          top.keys.add(key);
          keyNext = false;
        }
        at = end;
        break;
      }
      case '{':
      case '[':
        top = { keys: text[at] === '{' ? new Set() : null, index: 0 };
        stack.push(top);
        keyNext = top.keys !== null;
        if (!item(at + 1)) return;
        break;
      case '}':
      case ']':
        stack.pop();
        top = stack.at(-1);
        keyNext = false;
        break;
      case ',':
        keyNext = top !== undefined && top.keys !== null;
        if (!item(at + 1)) return;
        break;
      default:
    }
  }
}

function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end;
}

function isEscaped(text: string, quote: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
  return backslashes % 2 === 1;
}

/** Places whose key came before in the same object; at most `max` of them. */
export function duplicateKeys(text: string, max: number): { place: Place; offset: number }[] {
  const found: { place: Place; offset: number }[] = [];
  const place: (string | number)[] = [];
  walkKeys(text, (depth, key, twice, offset) => {
    place.length = depth;
    place.push(key);
    if (twice) found.push({ place: [...place], offset });
    return found.length < max;
  });
  return found;
}

/** Offset of each place's key, or of the nearest of its parents that the text has; undefined for the root itself. */
export function offsetsOf(text: string, places: Place[]): (number | undefined)[] {
  const targets = places.map((place) => ({ place, matched: 0, deepest: 0, offset: undefined as number | undefined }));
  walkKeys(text, (depth, key, _twice, offset) => {
    for (const target of targets) {
      if (target.matched < depth) continue;
      target.matched = target.place[depth] === key ? depth + 1 : depth;
      if (target.matched > target.deepest) {
        target.deepest = target.matched;
        target.offset = offset;
      }
    }
    return targets.some((target) => target.deepest < target.place.length);
  });
  return targets.map((target) => target.offset);
}

/** Line of an offset, from 1. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}
