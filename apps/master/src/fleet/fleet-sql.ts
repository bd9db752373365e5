/** Replicas say something every 5 s: one that was not heard for so long has gone, or the master that it was connected to. */
const LOST_SECONDS = 20;

/** Whether the replica `r` has a stream to a master. */
export const CONNECTED = `(r.connected_instance IS NOT NULL AND greatest(r.reported_at, r.connected_since) > now() - interval '${LOST_SECONDS} seconds')`;

/** Seconds since the replica `r` said something; null: it never did. */
export const SILENT = 'round(extract(epoch FROM now() - r.reported_at), 1)::float8';
