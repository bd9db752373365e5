import { SEGMENT_FAN, SEGMENT_LEVELS, segmentRange } from '#artifacts';

/** Level 0 is one revision, whose index is its number less one; a segment of a level above covers 64 of the level below. */
export interface Piece {
  level: number;
  index: number;
}

/** Bytes of a piece; null: it is not there, or no good; undefined: nobody has asked yet. */
export type SizeOf = (piece: Piece) => number | null | undefined;

/** Pieces in the order of revisions, each beginning at or before the end of the one before. */
export interface Route {
  pieces: Piece[];
  bytes: number;
}

/** For a segment of so few bytes it is not worth asking whether parts of it have fewer. */
const SMALL_BYTES = 16 * 1024;

const NOTHING: Route = { pieces: [], bytes: 0 };

/**
 * The cheapest way, in bytes, from one revision to a later one by segments and single revisions. Whole blocks are taken
 * by their largest segment, which never has more bytes than its parts; where the way begins inside a block, its parts
 * may have fewer.
 *
 * @returns null when there is none; pieces whose size has to be known first, if any
 */
export function routeBetween(from: number, to: number, sizeOf: SizeOf): { route: Route | null; unknown: Piece[] } {
  const unknown: Piece[] = [];
  const last = indexOf(SEGMENT_LEVELS, to);
  let route: Route | null = NOTHING;
  for (let index = indexOf(SEGMENT_LEVELS, from + 1); from < to && index <= last; index++)
    route = joined(route, across({ level: SEGMENT_LEVELS, index }));
  return unknown.length > 0 ? { route: null, unknown } : { route, unknown };

  function across(block: Piece): Route | null {
    const { first, last: end } = rangeOf(block);
    const size = end <= to ? sizeOf(block) : null;
    if (size === undefined) unknown.push(block);
    const whole = typeof size === 'number' ? { pieces: [block], bytes: size } : null;
    if (block.level === 0 || size === undefined) return whole;
    if (whole && (first > from || whole.bytes <= SMALL_BYTES)) return whole;
    const parts = inParts(block, Math.max(first, from + 1), Math.min(end, to));
    if (!whole || !parts) return whole ?? parts;
    return parts.bytes < whole.bytes ? parts : whole;
  }

  function inParts({ level }: Piece, first: number, end: number): Route | null {
    let parts: Route | null = NOTHING;
    for (let index = indexOf(level - 1, first); index <= indexOf(level - 1, end); index++)
      parts = joined(parts, across({ level: level - 1, index }));
    return parts;
  }
}

/** The revisions that a piece covers, both included. */
export function rangeOf({ index, level }: Piece): { first: number; last: number } {
  return level === 0 ? { first: index + 1, last: index + 1 } : segmentRange(level, index);
}

function indexOf(level: number, revision: number): number {
  return Math.floor((revision - 1) / SEGMENT_FAN ** level);
}

function joined(a: Route | null, b: Route | null): Route | null {
  return a && b && { pieces: [...a.pieces, ...b.pieces], bytes: a.bytes + b.bytes };
}
