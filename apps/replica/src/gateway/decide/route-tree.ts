import { ANY_METHOD, type TemplatePart } from '#model';
import { decodeSegment } from './target.js';

type Methods<T> = { method: string; value: T }[];

interface Node<T> {
  /** a single fixed child, which is what most nodes have: a Map of one costs ten times as much memory */
  text: string;
  only: Node<T> | null;
  /** two or more fixed children, instead of `only` */
  fixed: Map<string, Node<T>> | null;
  param: Node<T> | null;
  rest: Methods<T> | null;
  here: Methods<T> | null;
}

const newNode = <T>(): Node<T> => ({ text: '', only: null, fixed: null, param: null, rest: null, here: null });

/**
 * Routes by method and path. Segment by segment fixed text beats a parameter, which beats the rest; a branch that ends
 * nowhere, or has not got the method, gives way to the next best one. A parameter is never empty. HEAD is served by GET
 * where it has no route of its own at the same place.
 */
export class RouteTree<T> {
  private readonly root: Node<T> = newNode();

  add(method: string, parts: readonly TemplatePart[], value: T): void {
    let node = this.root;
    for (const part of parts) {
      if (part.kind === 'rest') {
        (node.rest ??= []).push({ method, value });
        return;
      }
      node = part.kind === 'param' ? (node.param ??= newNode()) : fixedChild(node, decodeSegment(part.text));
    }
    (node.here ??= []).push({ method, value });
  }

  /** @param from the first segment below the context */
  find(segments: readonly string[], from: number, method: string): T | null {
    return search(this.root, segments, start(segments, from), (methods) => pick(methods, method));
  }

  /** The methods that this path has, HEAD included where GET is; null where any is served; empty for no such path. */
  allowed(segments: readonly string[], from: number): string[] | null {
    const found = new Set<string>();
    search(this.root, segments, start(segments, from), (methods) => {
      for (const { method } of methods) found.add(method);
      return null; // goes on to every place that fits
    });
    if (found.has(ANY_METHOD)) return null;
    if (found.has('GET')) found.add('HEAD');
    return [...found].sort();
  }
}

/** `/` alone below the context is the root itself, as is nothing at all. */
function start(segments: readonly string[], from: number): number {
  return segments.length === from + 1 && segments[from] === '' ? from + 1 : from;
}

function fixedChild<T>(node: Node<T>, text: string): Node<T> {
  const known = childOf(node, text);
  if (known) return known;
  const child = newNode<T>();
  if (node.fixed) node.fixed.set(text, child);
  else if (node.only) {
    node.fixed = new Map([
      [node.text, node.only],
      [text, child],
    ]);
    node.only = null;
  } else {
    node.text = text;
    node.only = child;
  }
  return child;
}

function childOf<T>(node: Node<T>, text: string): Node<T> | undefined {
  if (node.only) return node.text === text ? node.only : undefined;
  return node.fixed?.get(text);
}

/** Depth first in the order of precedence; visits no node twice. */
function search<T>(
  node: Node<T>,
  segments: readonly string[],
  index: number,
  accept: (methods: Methods<T>) => T | null,
): T | null {
  let found: T | null = null;
  if (index === segments.length) {
    if (node.here) found = accept(node.here);
  } else {
    const segment = segments[index] as string;
    const child = childOf(node, segment);
    if (child) found = search(child, segments, index + 1, accept);
    if (found === null && node.param && segment !== '') found = search(node.param, segments, index + 1, accept);
  }
  return found === null && node.rest ? accept(node.rest) : found;
}

function pick<T>(methods: Methods<T>, method: string): T | null {
  let fallback: T | null = null;
  let any: T | null = null;
  for (const entry of methods) {
    if (entry.method === method) return entry.value;
    if (entry.method === 'GET' && method === 'HEAD') fallback = entry.value;
    if (entry.method === ANY_METHOD) any = entry.value;
  }
  return fallback ?? any;
}
