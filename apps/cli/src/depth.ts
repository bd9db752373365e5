/** Real files have ten; what is built to exhaust a reader has thousands. */
const MAX_DEPTH = 64;

/** Whether a value has more levels than anybody writes, or is inside itself, as an alias of YAML can make it. */
export function isTooDeep(value: unknown): boolean {
  return heightOf(value, new Map()) > MAX_DEPTH;
}

function heightOf(value: unknown, known: Map<object, number>): number {
  if (typeof value !== 'object' || value === null) return 0;
  const before = known.get(value);
  if (before !== undefined) return before;
  known.set(value, Number.POSITIVE_INFINITY);
  let height = 1;
  for (const child of Object.values(value)) height = Math.max(height, heightOf(child, known) + 1);
  known.set(value, height);
  return height;
}
