/** What one client, or one upstream, may cost where no setting says it; `limits.ts` has what settings say. */
export const BOUNDS = {
  /** between two looks at all connections: how exact every time limit is */
  sweepMs: 100,
  /** first line and fields of one answer of an upstream, and of a request on the admin port; trailers of both sides */
  headBytes: 16 * 1024,
  /** fields of one request, and of one answer of an upstream */
  fields: 100,
  /** from the first byte of a head on the admin port to its last */
  headMs: 10_000,
  /** between two requests on a connection when the gateway drains: longer than the next one of a busy client takes to come */
  drainIdleMs: 300,
  /** a body of this length is read before an upstream is asked: slow clients hold none of its connections */
  collectedBytes: 16 * 1024,
  /** a body that nobody wants is read up to here, so that the connection can be kept */
  discardedBytes: 64 * 1024,
  /** ... or up to here and so long, so that a client that still sends gets to see the answer before a reset */
  lingerBytes: 1024 * 1024,
  lingerMs: 1000,
  /** a tunnel in which nothing moves either way */
  tunnelIdleMs: 300_000,
  /** between two parts of an upstream's body */
  upstreamStallMs: 300_000,
  /** an idle connection to an upstream that does not say how long it keeps one; less than servers usually do */
  upstreamIdleMs: 4000,
  /** a target that nobody asked anything for so long is forgotten */
  poolIdleMs: 120_000,
} as const;
