import type { Policies } from '#model';

/** Header edits, ready to be applied: remove, then set, then add. Names in lower case where they are compared. */
export interface HeaderEdits {
  /** what goes away: names to remove, and names to set anew */
  drop: ReadonlySet<string>;
  /** what comes, names and values in turn */
  append: readonly string[];
}

export function compileEdits(edits: Policies['requestHeaders']): HeaderEdits | null {
  if (!edits) return null;
  const set = Object.entries(edits.set ?? {});
  const drop = new Set([...(edits.remove ?? []), ...set.map(([name]) => name)].map((name) => name.toLowerCase()));
  return { drop, append: [...set, ...Object.entries(edits.add ?? {})].flat() };
}

/** @param headers names and values in turn; a new list is returned */
export function applyEdits(headers: readonly string[], edits: HeaderEdits): string[] {
  const result: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (!edits.drop.has(name.toLowerCase())) result.push(name, headers[i + 1] as string);
  }
  result.push(...edits.append);
  return result;
}
