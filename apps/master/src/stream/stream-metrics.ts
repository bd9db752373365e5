import { Counter, Gauge, type Registry } from 'prom-client';
import type { StreamServer } from './stream-server.js';

/** What `/metrics` shows of the stream of this process, by environment. */
export function registerStreamMetrics(registry: Registry, stream: StreamServer): void {
  const gauge = (
    name: string,
    help: string,
    value: (standing: ReturnType<StreamServer['standings']>[number]) => number,
  ): void => {
    new Gauge({
      name,
      help,
      labelNames: ['environment'],
      registers: [registry],
      collect() {
        this.reset();
        for (const standing of stream.standings()) this.set({ environment: standing.environment }, value(standing));
      },
    });
  };
  gauge(
    'heliograph_stream_connections',
    'Replicas that are connected to this process.',
    (one) => one.connections.length,
  );
  gauge(
    'heliograph_stream_lag_revisions',
    'Published and not sent yet, to the replica that is furthest behind.',
    (one) => Math.max(0, ...one.connections.map(({ lag }) => lag ?? 0)),
  );
  gauge('heliograph_stream_buffered_bytes', 'Sent, and not taken by the sockets yet.', (one) =>
    one.connections.reduce((sum, { outflow }) => sum + outflow.buffered, 0),
  );
  gauge('heliograph_stream_held_bytes', 'Newest revisions that are kept in memory.', (one) => one.heldBytes);
  new Counter({
    name: 'heliograph_stream_sent_bytes_total',
    help: 'Bytes of frames that were sent to replicas.',
    labelNames: ['environment'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { environment, sentBytes } of stream.standings()) this.inc({ environment }, sentBytes);
    },
  });
  new Counter({
    name: 'heliograph_stream_closed_total',
    help: 'Connections that have ended, by the reason that this process had; `by_replica`: none.',
    labelNames: ['environment', 'reason'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { environment, closed } of stream.standings())
        for (const [reason, count] of closed) this.inc({ environment, reason }, count);
    },
  });
}
