/** Replicas say something every 5 s: one that was not heard for so long has gone, or the master that it was connected to. */
const LOST_SECONDS = 20;

/** Whether the replica `r` has a stream to a master. */
export const CONNECTED = `(r.connected_instance IS NOT NULL AND greatest(r.reported_at, r.connected_since) > now() - interval '${LOST_SECONDS} seconds')`;

/** Seconds since the replica `r` said something; null: it never did. */
export const SILENT = 'round(extract(epoch FROM now() - r.reported_at), 1)::float8';

/** Of a replica `r` in a region `g`: its chain `c`, and `own`, what the chain has at the revision of its last report. */
export const ITS_CHAIN = `LEFT JOIN chain c ON c.environment_id = g.environment_id
    LEFT JOIN revision own ON own.environment_id = g.environment_id AND own.revision = (r.status->>'revision')::bigint`;
/**
 * Its last report is of another chain: of a revision that is not here, or of another one of that number. One that came with
 * a snapshot, and whose hash nobody here knows, is taken for ours.
 */
export const STRANGE = `coalesce((r.status->>'revision')::bigint > coalesce(c.revision, 0)
    OR decode(r.status->>'hash', 'hex') <> CASE WHEN c.revision = (r.status->>'revision')::bigint THEN c.hash ELSE own.hash END, false)`;
