import { z } from 'zod';
import { apiId, apiName } from './ids.js';

/* To tail: to look at requests as a replica's access log would tell them, while they happen. */

export const TAIL = {
  /** a replica ends what nobody asks for again in this time */
  holdMs: 15_000,
  /** ... so whoever looks asks so often */
  renewMs: 5_000,
  /** what one reader is shown a second at the most, of all replicas together */
  linesPerSecond: 200,
  /** characters of a line */
  lineChars: 4_096,
  /** characters of the lines of one message, before they are written as JSON once more */
  messageChars: 64 * 1024,
  /** readers at one replica */
  readers: 32,
} as const;

/** Which requests; what is left out does not matter. */
export const tailFilter = z.strictObject({
  api: z
    .union([apiId, apiName], 'must be an API like weather:v1, or a name like weather for all of its versions')
    .optional(),
  application: z.uuid('must be the id of an application').optional(),
  status: z
    .string()
    .regex(/^(0|[1-5]xx|[1-5]\d\d)$/, 'must be a status like 404, a class like 5xx, or 0 for what the client broke off')
    .optional(),
});
export type TailFilter = z.infer<typeof tailFilter>;

/** What somebody wants to see, and for how long. */
export const tailWish = z.strictObject({
  /** a UUID of whoever looks; the same again goes on */
  tail: z.uuid(),
  /** 0: no longer */
  forMs: z.int().min(0).max(60_000),
  linesPerSecond: z.int().min(1).max(TAIL.linesPerSecond),
  filter: tailFilter,
});
export type TailWish = z.infer<typeof tailWish>;

/** What has come since it was told last; none, to say that it is looked for. */
export const tailLines = z.strictObject({
  tail: z.uuid(),
  /** JSON, as in the access log */
  lines: z.array(z.string().max(TAIL.lineChars)).max(TAIL.linesPerSecond),
  /** lines after these that were left out: more than may be shown, or than were taken */
  dropped: z.int().min(0),
});
export type TailLines = z.infer<typeof tailLines>;
