import { randomFillSync } from 'node:crypto';
import type { SpanExporter } from './span-exporter.js';

/** Which traces are recorded. */
export interface Sampler {
  /** whoever called decides, where he says so */
  readonly followsParent: boolean;
  /** of the traces that begin here: 0 .. 1 */
  readonly ratio: number;
}

/** What an engine needs for traces. */
export interface Tracing {
  readonly ids: RandomIds;
  readonly sampler: Sampler;
  /** null: nothing is recorded here */
  readonly exporter: SpanExporter | null;
}

export const NOT_TRACED: Sampler = { followsParent: true, ratio: 0 };

/** Digits of a trace id that the ratio is taken of: 52 bits, as many as a number holds exactly. */
const RATIO_DIGITS = 13;

/** @param parent what the caller said; null: nothing */
export function isChosen({ followsParent, ratio }: Sampler, traceId: string, parent: boolean | null): boolean {
  if (followsParent && parent !== null) return parent;
  // by its id, so that everybody who takes the same share takes the same traces
  return Number.parseInt(traceId.slice(-RATIO_DIGITS), 16) / 16 ** RATIO_DIGITS < ratio;
}

const POOL_BYTES = 4096;
const TRACE_BYTES = 16;
const SPAN_BYTES = 8;

/** Ids from random bytes that are fetched 4 KiB at a time: to ask the system for each id costs more than all the rest. */
export class RandomIds {
  private readonly pool = Buffer.allocUnsafe(POOL_BYTES);
  private used = POOL_BYTES;

  trace(): string {
    return this.hex(TRACE_BYTES);
  }

  span(): string {
    return this.hex(SPAN_BYTES);
  }

  private hex(bytes: number): string {
    if (this.used + bytes > POOL_BYTES) {
      randomFillSync(this.pool);
      this.used = 0;
    }
    this.used += bytes;
    return this.pool.toString('hex', this.used - bytes, this.used);
  }
}
