import type { ReleaseCount } from '#model';
import type { UsageTaken } from '../../usage/usage-tally.js';
import type { TargetReport } from '../upstream/target-report.js';

/** Key of a report: name and help of the family. */
type Families = Readonly<Record<string, readonly [name: string, help: string]>>;

/** Numbers of a worker that only grow; reports carry what came since the one before. */
export const COUNTERS = {
  faults: ['heliograph_gateway_faults_total', 'Faults of the gateway itself; each is in the log.'],
  accepted: ['heliograph_gateway_connections_accepted_total', 'Connections of clients that were taken.'],
  turnedAway: [
    'heliograph_gateway_connections_refused_total',
    'Connections of clients that were closed at once, as a worker had all that it may have.',
  ],
  handshakeFailures: [
    'heliograph_gateway_tls_handshake_failures_total',
    'Connections that ended before their TLS handshake did.',
  ],
  retries: ['heliograph_gateway_upstream_retries_total', 'Attempts at an upstream after the first one of a request.'],
  leaseFetches: ['heliograph_gateway_lease_fetches_total', 'Questions to process 1 for tokens of a limit.'],
  cacheHits: ['heliograph_gateway_cache_hits_total', 'Requests that were answered by a kept answer.'],
  cacheMisses: ['heliograph_gateway_cache_misses_total', 'Requests that no kept answer would do for.'],
  cacheEvictions: ['heliograph_gateway_cache_evictions_total', 'Kept answers that made room for others.'],
  logDropped: [
    'heliograph_gateway_access_log_dropped_total',
    'Lines of the access log that standard output did not take.',
  ],
  spansExported: ['heliograph_gateway_spans_exported_total', 'Spans that the collector took.'],
  spansDropped: ['heliograph_gateway_spans_dropped_total', 'Spans that were lost: a full queue, or no collector.'],
} as const satisfies Families;

/** What is so now, of all workers together. */
export const GAUGES = {
  inFlight: ['heliograph_gateway_in_flight', 'Requests under way.'],
  upstreamInFlight: ['heliograph_gateway_upstream_in_flight', 'Requests under way to upstreams.'],
  connections: ['heliograph_gateway_connections', 'Connections of clients.'],
  leases: ['heliograph_gateway_leases', 'Limits of which workers hold tokens, or know that there are none.'],
  cacheBytes: ['heliograph_gateway_cache_bytes', 'Memory of kept answers.'],
  cacheEntries: ['heliograph_gateway_cache_entries', 'Kept answers.'],
} as const satisfies Families;

/** ... of each process. */
export const PROCESS_GAUGES = {
  residentBytes: ['heliograph_process_resident_memory_bytes', 'Resident memory.'],
  heapBytes: ['heliograph_process_heap_bytes', 'JavaScript heap in use.'],
  externalBytes: [
    'heliograph_process_external_memory_bytes',
    'Memory of buffers and other things outside of the heap.',
  ],
  loopDelay: [
    'heliograph_process_event_loop_delay_seconds',
    'How late the event loop is, 99th percentile of some seconds.',
  ],
} as const satisfies Families;

export const HISTOGRAMS = {
  own: [
    'heliograph_gateway_own_seconds',
    'Time of a request in the gateway until it is sent upstream, or answered without; a small body is read in it.',
  ],
  upstream: ['heliograph_gateway_upstream_seconds', "Time from sending a request upstream to its answer's head."],
  total: [
    'heliograph_gateway_request_seconds',
    "Time from a request's head to the last byte of its answer; tunnels are left out.",
  ],
  leaseWait: ['heliograph_gateway_lease_wait_seconds', 'Time that requests waited for tokens of a limit.'],
} as const satisfies Families;

export type CounterKey = keyof typeof COUNTERS;
export type GaugeKey = keyof typeof GAUGES;
export type ProcessGaugeKey = keyof typeof PROCESS_GAUGES;
export type HistogramKey = keyof typeof HISTOGRAMS;

/** Classes of a status, by its first digit. */
export const STATUS_CLASSES = ['aborted', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** Upper bounds of the buckets of all histograms, in seconds. */
export const BUCKETS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;

export interface HistogramReport {
  /** values in each bucket alone, and at the end those above all bounds */
  counts: number[];
  sum: number;
}

/** What a process costs. */
export interface ProcessReport {
  gauges: Record<ProcessGaugeKey, number>;
  /** since it began */
  cpuSeconds: number;
}

/** What a worker tells process 1: what has come since the report before, and what is so now. */
export interface WorkerReport {
  /** an API, or `none`, and its requests by class of the status, in turns: flat, as there may be 10,000 */
  requests: (string | number)[];
  /** by code */
  refusals: Record<string, number>;
  counters: Partial<Record<CounterKey, number>>;
  histograms: Partial<Record<HistogramKey, HistogramReport>>;
  gauges: Record<GaugeKey, number>;
  process: ProcessReport;
  targets: TargetReport[];
  revision: number;
  usage: UsageTaken;
  releases: ReleaseCount[];
}
