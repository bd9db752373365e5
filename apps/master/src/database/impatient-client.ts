import type { Socket } from 'node:net';
import pg from 'pg';

/** The server ends a statement of its own after 30 s (data-source.ts): who has not answered by then does not answer any more. */
const ANSWER_MS = 35_000;

/**
 * A connection that breaks by itself where the server fell silent with a question open: a host that vanished, a firewall that
 * forgot. The kernel may wait a quarter of an hour for it, or for ever, and a pool would hand it out again and again.
 *
 * @param answerMs how long a server may be silent
 */
export function impatientClient(answerMs = ANSWER_MS): typeof pg.Client {
  return class extends pg.Client {
    /** the driver's own: nothing is open. Not in its types. */
    declare private readonly readyForQuery: boolean;

    constructor(config?: pg.ClientConfig) {
      super(config);
      this.once('connect', () => {
        const socket = this.connection.stream as Socket; // the one in TLS, where that is asked for
        socket.setTimeout(answerMs).on('timeout', () => {
          if (!this.readyForQuery)
            socket.destroy(new Error(`Connection terminated: PostgreSQL has said nothing for ${answerMs / 1000} s`));
        });
      });
    }
  };
}
