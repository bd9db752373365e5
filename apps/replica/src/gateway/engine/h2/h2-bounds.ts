import type { ServerOptions } from 'node:http2';
import { BOUNDS } from '../bounds.js';
import type { Limits } from '../limits.js';

/** What one connection of HTTP/2 may cost, besides what any client may. */
export const H2_BOUNDS = {
  /** streams that are open at the same time */
  streams: 100,
  /** of a request's body that nobody has taken yet; times `streams` it is what a connection can hold in memory */
  windowBytes: 64 * 1024 - 1,
  /** streams that the client may break off before it has to let others end */
  brokenStreams: 100,
  /** bytes that are part of no request or answer ... */
  idleBytes: 128 * 1024,
  /** ... and how many more for each that is */
  overhead: 8,
  /** of what was counted for these, half is forgotten each time: a connection may be open for days */
  halvedMs: 60_000,
} as const;

export const sessionOptions = ({ headBytes }: Limits): ServerOptions => ({
  settings: {
    enablePush: false,
    enableConnectProtocol: false,
    maxConcurrentStreams: H2_BOUNDS.streams,
    initialWindowSize: H2_BOUNDS.windowBytes,
    // more than a head may have, so that one that is too large is told so in an answer; beyond that the stream is reset
    maxHeaderListSize: 2 * headBytes + 32 * BOUNDS.fields,
  },
  // cookies come as a field each
  maxHeaderListPairs: 2 * BOUNDS.fields,
  /** MB, of node's buffers for one connection */
  maxSessionMemory: 10,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
});
