import { BodyReader, BodyWriter, compareOps, FormatError, LIMITS, MAX_SEGMENT_BODY } from '#artifacts';
import type { Op } from '#model';
import type { Pause } from './pause.js';

/** Looking at the clock costs more than an op. */
const OPS_PER_LOOK = 64;

interface Cursor {
  op: Op;
  /** a newer body has a higher one */
  age: number;
  rest: BodyReader;
}

/**
 * The last change of each entry that any of the bodies changes, as one body: what applying all of them comes to.
 *
 * @param bodies the oldest first; each is in the order of (table, key), so one op of each is looked at at a time
 * @returns null when it would be larger than a segment may be
 */
export async function mergeBodies(bodies: readonly Buffer[], pause: Pause): Promise<Buffer | null> {
  const heap: Cursor[] = [];
  for (const [age, body] of bodies.entries()) {
    const rest = new BodyReader(body, LIMITS.segmentOps);
    const op = rest.next();
    if (op) heap.push({ op, age, rest });
  }
  for (let at = heap.length >> 1; at >= 0; at--) sink(heap, at);

  const writer = new BodyWriter(LIMITS.segmentOps, MAX_SEGMENT_BODY);
  let last: Op | undefined;
  for (let ops = 0, top = heap[0]; top; top = heap[0], ops++) {
    if (ops % OPS_PER_LOOK === 0 && pause.due) await pause.take();
    try {
      // of one entry the newest comes first, and stands
      if (!last || compareOps(last, top.op) !== 0) writer.add(top.op);
    } catch (error) {
      if (error instanceof FormatError && error.code === 'too_large') return null;
      throw error;
    }
    last = top.op;
    advance(heap, top);
  }
  return writer.finish();
}

/** Takes the next op of the body at the top, and brings the smallest op of all there. */
function advance(heap: Cursor[], top: Cursor): void {
  const next = top.rest.next();
  const end = next ? undefined : heap.pop();
  if (next) top.op = next;
  else if (end && end !== top) heap[0] = end;
  sink(heap, 0);
}

function sink(heap: Cursor[], from: number): void {
  for (let at = from; ; ) {
    let least = at;
    for (const child of [2 * at + 1, 2 * at + 2]) if (isBefore(heap[child], heap[least])) least = child;
    if (least === at) return;
    [heap[at], heap[least]] = [heap[least] as Cursor, heap[at] as Cursor];
    at = least;
  }
}

function isBefore(a: Cursor | undefined, b: Cursor | undefined): boolean {
  return a !== undefined && b !== undefined && (compareOps(a.op, b.op) || b.age - a.age) < 0;
}
