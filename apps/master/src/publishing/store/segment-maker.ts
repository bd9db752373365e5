import { webcrypto } from 'node:crypto';
import {
  decodeHeader,
  FormatError,
  LIMITS,
  SEGMENT_FAN,
  SEGMENT_LEVELS,
  type SegmentPlace,
  sealSegmentBody,
  segmentName,
  segmentRange,
  segmentSpan,
  StoreError,
  type VerifiedSegment,
  verifySegment,
} from '#artifacts';
import type { DeltaContext } from './deltas.js';
import { mergeBodies } from './merge-bodies.js';
import { Pause } from './pause.js';
import { putObject } from './put-object.js';
import { revisionsAfter } from './revision-batches.js';

/** What is merged at a time: from more than this hardly a segment would come that is small enough. */
const MOST_INPUT_BYTES = 4 * LIMITS.segmentBytes;

/** The segments that end with a revision, the smallest first. */
function endingAt(last: number): { level: number; index: number }[] {
  return Array.from({ length: SEGMENT_LEVELS }, (_, i) => i + 1)
    .filter((level) => last % segmentSpan(level) === 0)
    .map((level) => ({ level, index: last / segmentSpan(level) - 1 }));
}

/** Makes and writes every segment that ends with `last`, a multiple of 64. */
export async function putSegmentsEndingAt(context: DeltaContext, last: number): Promise<void> {
  const { environment, signer, trusted } = context;
  for (const { level, index } of endingAt(last)) {
    const made = await makeSegment(context, level, index);
    if (!made) continue;
    const sha256 = Buffer.from(await webcrypto.subtle.digest('SHA-256', made.body));
    const bytes = sealSegmentBody(made.place, { bytes: made.body, sha256 }, signer);
    await putObject(context, segmentName(environment, level, index), bytes, LIMITS.segmentBytes, (there) => {
      const { header } = verifySegment(there, environment, trusted);
      if (!isPlace(header, made.place))
        throw new FormatError('wrong_revision', 'it is another segment than its name says');
    });
  }
}

interface MadeSegment {
  place: SegmentPlace;
  body: Buffer;
}

/** @returns null where it would be too large, or where a part of what it covers cannot be had any more */
async function makeSegment(context: DeltaContext, level: number, index: number): Promise<MadeSegment | null> {
  const parts = level === 1 ? await revisionsOf(context, index) : await segmentsOf(context, level, index);
  const last = parts?.at(-1);
  if (!parts || !last) return null;
  const body = await mergeBodies(
    parts.map((part) => part.body),
    new Pause(context.signal),
  );
  return body && { place: { ...last.place, level, index }, body };
}

async function revisionsOf({ query, environment }: DeltaContext, index: number): Promise<MadeSegment[] | null> {
  const { first, last } = segmentRange(1, index);
  const [found] = await query<{ count: string; bytes: string | null }>(
    `SELECT count(*) AS count, sum(octet_length(bytes)) AS bytes FROM revision
     WHERE environment_id = $1 AND revision BETWEEN $2 AND $3`,
    [environment, first, last],
  );
  // some may be missing in a database that was behind its chain, and went on from a snapshot
  if (Number(found?.count) !== SEGMENT_FAN || Number(found?.bytes) > MOST_INPUT_BYTES) return null;
  const parts: MadeSegment[] = [];
  while (parts.length < SEGMENT_FAN) {
    const batch = await revisionsAfter(query, environment, first - 1 + parts.length);
    if (batch.length === 0) return null;
    for (const { hash, bytes } of batch.slice(0, SEGMENT_FAN - parts.length)) {
      const { header, length } = decodeHeader(bytes);
      const { epoch, root, issuedAt } = header;
      parts.push({
        place: { environment, level: 0, index: 0, epoch, hash, root, issuedAt },
        body: bytes.subarray(length),
      });
    }
  }
  return parts;
}

async function segmentsOf(context: DeltaContext, level: number, index: number): Promise<MadeSegment[] | null> {
  const parts: MadeSegment[] = [];
  let bytes = 0;
  for (let i = 0; i < SEGMENT_FAN; i++) {
    const part = await partOf(context, level - 1, index * SEGMENT_FAN + i);
    if (!part) return null;
    bytes += part.body.length;
    if (bytes > MOST_INPUT_BYTES) return null;
    parts.push(part);
  }
  return parts;
}

/** As it lies in the store; made again, and not written, where it does not. */
async function partOf(context: DeltaContext, level: number, index: number): Promise<MadeSegment | null> {
  const { store, environment, trusted, signal } = context;
  try {
    const object = await store.get(segmentName(environment, level, index), LIMITS.segmentBytes, signal);
    const segment: VerifiedSegment | undefined = object ? verifySegment(object.bytes, environment, trusted) : undefined;
    if (segment && segment.header.level === level && segment.header.index === index)
      return { place: segment.header, body: segment.body };
  } catch (error) {
    const damaged = error instanceof FormatError || (error instanceof StoreError && error.code === 'store_too_large');
    if (!damaged) throw error;
  }
  return makeSegment(context, level, index);
}

function isPlace(a: SegmentPlace, b: SegmentPlace): boolean {
  return a.level === b.level && a.index === b.index && a.hash.equals(b.hash) && a.root.equals(b.root);
}
