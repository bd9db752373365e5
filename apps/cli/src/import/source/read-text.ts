import { type Alias, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { isTooDeep } from '../../depth.js';

/** Where something stands in a file, from its root: `['services', 0, 'host']`. */
export type Place = readonly (string | number)[];

/** A file of another gateway, by the name that the report calls it. */
export interface SourceText {
  name: string;
  text: string;
}

export type ReadText =
  | { ok: true; value: unknown; lineOf: (place: Place) => number | undefined }
  | { ok: false; problem: string; line?: number };

/** Of anchors that have anchors in them: the product of their numbers. */
const MAX_ALIASES = 10_000;

/** Reads YAML or JSON (which is YAML) with the lines of what is in it. Never throws. */
export function readText(text: string): ReadText {
  try {
    return read(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch (error) {
    // the parser goes into itself for each level, and refuses aliases by an exception
    const problem = error instanceof RangeError ? 'is nested too deeply' : (error as Error).message;
    return { ok: false, problem };
  }
}

function read(text: string): ReadText {
  const lines = new LineCounter();
  // merge: `<<` is no part of YAML 1.2, but decK takes it
  const document = parseDocument(text, { lineCounter: lines, merge: true, stringKeys: true, logLevel: 'silent' });
  const [error] = document.errors;
  if (error) {
    const [problem = ''] = error.message.split(' at line ');
    return { ok: false, problem, line: lines.linePos(error.pos[0]).line };
  }
  const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
  if (isTooDeep(value)) return { ok: false, problem: 'is nested too deeply' };
  return {
    ok: true,
    value,
    lineOf: (place) => {
      const offset = offsetOf(document.contents, place, (alias) => alias.resolve(document));
      return offset === undefined ? undefined : lines.linePos(offset).line;
    },
  };
}

/** The offset of the deepest part of the place that is written at this very place: what came by a merge has no other. */
function offsetOf(root: Node | null, place: Place, resolve: (alias: Alias) => Node | undefined): number | undefined {
  let node: unknown = root;
  let offset = root?.range?.[0];
  for (const part of place) {
    if (isAlias(node)) node = resolve(node);
    const pair = isMap(node) ? node.items.find((one) => isScalar(one.key) && one.key.value === part) : undefined;
    const next: unknown = isSeq(node) && typeof part === 'number' ? node.items[part] : pair?.value;
    const at = (pair?.key ?? next) as Node | null | undefined;
    if (!at?.range) return offset;
    offset = at.range[0];
    node = next;
  }
  return offset;
}
