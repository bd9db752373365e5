import type { Policies } from '#model';
import { decodeSegment, pathFrom, type Target } from './target.js';

/** Replaces the first segments below the context. */
export interface Rewrite {
  /** decoded */
  prefix: readonly string[];
  /** empty, or a path without a slash at its end */
  with: string;
}

export function compileRewrite(policy: Policies['rewrite']): Rewrite | null {
  if (!policy) return null;
  const prefix = policy.prefix.replace(/\/+$/, '');
  const path = policy.with.replace(/\/+$/, '');
  return {
    prefix: prefix === '' ? [] : prefix.slice(1).split('/').map(decodeSegment),
    with: path === '' || path.startsWith('/') ? path : `/${path}`,
  };
}

/** What goes upstream of a path: what stands below the context, its beginning replaced where it is the prefix. */
export function pathBelow(target: Target, depth: number, rewrite: Rewrite | null): string {
  if (rewrite === null) return pathFrom(target, depth);
  const { prefix } = rewrite;
  const fits = prefix.every((segment, i) => target.segments[depth + i] === segment);
  return fits ? rewrite.with + pathFrom(target, depth + prefix.length) : pathFrom(target, depth);
}
