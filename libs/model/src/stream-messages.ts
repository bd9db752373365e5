import { z } from 'zod';
import { epoch, replicaStatus } from './fleet.js';
import { tailLines, tailWish } from './tail.js';
import { usageAnswer, usageReport } from './usage-report.js';

/*
 * The live stream: one WebSocket between a replica and any master instance. Text frames are the messages below; binary
 * frames are the exact signed bytes of one revision each. What flows, in order:
 *
 *   replica  ──follow(where it stands)──▶   master        again on the same socket whenever it wants to begin anew
 *   replica  ◀──intent(none | changes | full)──  master
 *   replica  ◀──revisions position+1, +2 ... as they are published, none skipped; `head` now and then──
 *   replica  ──ack (after applying, coalesced) and status (on change, and every 5 s)──▶
 *   replica  ◀──want(from, to)── and answers with binary frames: what a master lacks after a restore
 *   replica  ──usage(number, report), one at a time──▶  and the master answers counted(number) when it is written
 *   replica  ◀──tail(wish), again every 5 s──  and answers each with lines, and sends more as requests are answered
 */
export const STREAM_PATH = '/v1/stream';
export const STREAM_PROTOCOL = 'heliograph.1';
/** A field of the replica's request that names, with commas, what it may be asked for: one from before that is parted with by what it does not know. */
export const STREAM_ACCEPTS = 'heliograph-accepts';

export const STREAM_LIMITS = {
  /** characters of a text message */
  messageChars: 256 * 1024,
  /** bytes that wait in a socket for its reader; beyond, revisions are read again from where they are stored */
  bufferedBytes: 4 * 1024 * 1024,
  /** how long a reader may leave these bytes where they are before it is disconnected */
  stuckMs: 10_000,
  /** a master says something at least this often; a replica that hears nothing for three times that has lost it */
  heartbeatMs: 5_000,
  /** behind by more than so many revisions, a replica is told to get the state elsewhere first (`full`) */
  maxBacklog: 4_096,
} as const;

/** WebSocket close codes beyond the standard ones; the reason text is the code's name. */
export const STREAM_CLOSE = {
  bad_message: 4400,
  unauthenticated: 4401,
  slow_consumer: 4408,
  replaced: 4409,
  /** this master must not, or cannot, serve the chain now: try another one, or later */
  unavailable: 4503,
} as const;

const hex64 = z.string().regex(/^[0-9a-f]{64}$/);

const follow = z.strictObject({
  type: z.literal('follow'),
  epoch,
  /** the newest one that is applied; 0: none */
  revision: z.int().min(0),
  /** of that revision; zeros for none */
  hash: hex64,
});
const ack = z.strictObject({ type: z.literal('ack'), revision: z.int().min(0), lagMs: z.number().nullable() });
const status = z.strictObject({ type: z.literal('status'), status: replicaStatus });
/** Numbered so that an answer tells what it answers; one that comes before the answer to the one before is not heard. */
const usage = z.strictObject({ type: z.literal('usage'), number: z.int().min(0), report: usageReport });
const lines = tailLines.extend({ type: z.literal('lines') });

/** What a replica says. */
export const toMaster = z.discriminatedUnion('type', [follow, ack, status, usage, lines]);
export type ToMaster = z.infer<typeof toMaster>;

/** Why a replica has to get its state from elsewhere, or cannot go on at all. */
export const FULL_REASONS = ['too_far_behind', 'fork', 'ahead'] as const;

const intent = z.discriminatedUnion('intent', [
  /** it has the newest revision */
  z.strictObject({ type: z.literal('intent'), intent: z.literal('none'), head: z.string() }),
  /** the revisions after the one it has follow */
  z.strictObject({ type: z.literal('intent'), intent: z.literal('changes'), head: z.string() }),
  /**
   * `too_far_behind`: from a snapshot or segments, then follow again. `fork`: this master has another revision of that number.
   * `ahead`: this master does not have it yet, and may `want` what it lacks.
   */
  z.strictObject({
    type: z.literal('intent'),
    intent: z.literal('full'),
    reason: z.enum(FULL_REASONS),
    detail: z.string().max(2000),
    head: z.string(),
  }),
]);
const head = z.strictObject({ type: z.literal('head'), head: z.string() });
const want = z.strictObject({ type: z.literal('want'), from: z.int().min(1), to: z.int().min(1) });
const counted = usageAnswer.extend({ type: z.literal('counted'), number: z.int().min(0) });
const tail = tailWish.extend({ type: z.literal('tail') });

/** What a master says. `head` is the text of a signed head (`verifyHead`). */
export const toReplica = z.union([intent, head, want, counted, tail]);
export type ToReplica = z.infer<typeof toReplica>;
