import type { Logger } from '#platform';
import { SpanExporter } from './span-exporter.js';
import { attributesOf } from './spans.js';
import { RandomIds, type Sampler, type Tracing } from './tracing.js';

/** What a worker is told of traces. */
export interface TraceOptions {
  sampler: Sampler;
  /** of a collector; null: nothing is recorded */
  url: string | null;
  headers: Record<string, string>;
  /** attributes of all spans: who they are of */
  resource: Record<string, string>;
}

export function tracingOf({ sampler, url, headers, resource }: TraceOptions, log: Logger): Tracing {
  const exporter = url === null ? null : new SpanExporter({ url, headers, resource: attributesOf(resource) }, log);
  return { ids: new RandomIds(), sampler, exporter };
}
