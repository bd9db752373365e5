import { regionId, replicaId, type TailLines, tailLines, tailWish } from '#model';
import { z } from 'zod';

/** Whose requests. */
export interface TailOf {
  region: string;
  /** null: of all replicas there */
  replica: string | null;
}

const wish = z.object({ region: regionId, replica: replicaId.nullable(), wish: tailWish });
/** `told`: how many lines this replica has told this tail by way of this master, with these: what has got lost in between shows */
const lines = z.object({ replica: replicaId, told: z.int().min(0), lines: tailLines });

/** What masters say to each other, as a replica is connected to one of them, and its reader may be at another one. */
export const tailTalk = z.union([wish, lines]);
export type TailTalk = z.infer<typeof tailTalk>;

/** A payload of NOTIFY has to be below 8,000 bytes, with what is around the lines. */
const PIECE_BYTES = 7_500;

/** The same in as many pieces as it takes. One at least: that nothing has come says that the replica is there. */
export function piecesOf({ tail, lines: all, dropped }: TailLines): TailLines[] {
  const pieces: TailLines[] = [];
  let piece: TailLines = { tail, lines: [], dropped: 0 };
  let bytes = 0;
  let tooLong = 0;
  for (const line of all) {
    const more = Buffer.byteLength(JSON.stringify(line)) + 1;
    if (more > PIECE_BYTES) {
      tooLong += 1;
      continue;
    }
    if (bytes + more > PIECE_BYTES) {
      pieces.push(piece);
      piece = { tail, lines: [], dropped: 0 };
      bytes = 0;
    }
    piece.lines.push(line);
    bytes += more;
  }
  return [...pieces, { ...piece, dropped: dropped + tooLong }];
}

export function countOf({ lines: some, dropped }: Pick<TailLines, 'lines' | 'dropped'>): number {
  return some.length + dropped;
}
