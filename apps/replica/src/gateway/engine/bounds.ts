/** What one client, or one upstream, may cost. */
export const BOUNDS = {
  /** request line and fields of one request, and of one answer of an upstream */
  headBytes: 16 * 1024,
  /** fields of one request */
  fields: 100,
  /** connections of one worker; more are closed at once */
  connections: 10_000,
  /** requests that were sent on a connection before earlier ones were answered; one with more is broken off */
  pipelined: 64,
  /** from the first byte of a head to its last */
  headMs: 10_000,
  /** without a byte of a body that is being sent, or taken */
  stallMs: 60_000,
  /** between two requests on a connection; more than load balancers wait, so that they are the ones to close */
  idleMs: 65_000,
  /** a body that nobody wants is read up to here, so that the connection can be kept */
  discardedBytes: 64 * 1024,
  /** ... or up to here and so long, so that a client that still sends gets to see the answer before a reset */
  lingerBytes: 1024 * 1024,
  lingerMs: 1000,
  /** connections of one worker to one target; further requests wait for one, within their timeout */
  upstreamConnections: 256,
  /** between two parts of an upstream's body */
  upstreamStallMs: 300_000,
  /** a pool that nobody used for so long is closed */
  upstreamIdleMs: 120_000,
} as const;
