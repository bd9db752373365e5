import { StateRoot } from '#artifacts';
import type { SealedBytes } from '../publishing/index.js';
import type { Query } from '../publishing/options.js';

/** Where a chain stands. */
export interface Standing {
  environment: string;
  /** of the newest term of office that was let publish; may be newer than the newest revision's */
  epoch: number;
  revision: number;
  /** 32 bytes each */
  hash: Buffer;
  root: Buffer;
  /** the newest that the store has; bytes: manifest and blobs */
  snapshot: { revision: number; bytes: number } | null;
}

/** At least one revision, and no further one once these many bytes are together. */
const BATCH_BYTES = 1024 * 1024;
const BATCH_REVISIONS = 1024;
/** At one time, of all connections: requests need connections to the database, too. */
const READERS = 4;

/** The chain in PostgreSQL, as far as the stream needs it. */
export class StreamChain {
  private readonly waiting: (() => void)[] = [];
  private readers = 0;

  constructor(private readonly query: Query) {}

  /** Null while nobody has taken office there, and for what is no environment. */
  async standing(environment: string): Promise<Standing | null> {
    const [row] = await this.query<StandingRow>(STANDING, [environment]);
    if (!row) return null;
    const { epoch, hash, root, snapshot, snapshot_bytes: bytes } = row;
    return {
      environment,
      epoch,
      revision: Number(row.revision),
      hash,
      root: root ?? StateRoot.empty().root(),
      snapshot: snapshot === null ? null : { revision: Number(snapshot), bytes: Number(bytes) },
    };
  }

  async hashOf(environment: string, revision: number): Promise<Buffer | null> {
    const [row] = await this.query<{ hash: Buffer }>(
      'SELECT hash FROM revision WHERE environment_id = $1 AND revision = $2',
      [environment, revision],
    );
    return row?.hash ?? null;
  }

  /** The revisions after `revision`, in order, as many as make a batch; none: it is not there. */
  async after(environment: string, revision: number): Promise<SealedBytes[]> {
    if (this.readers < READERS) this.readers++;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      const rows = await this.query<{ revision: string; epoch: number; hash: Buffer; bytes: Buffer; issued_at: Date }>(
        AFTER,
        [environment, revision],
      );
      return rows.map(({ issued_at: issuedAt, ...row }) => ({
        ...row,
        revision: Number(row.revision),
        issuedAt: issuedAt.getTime(),
      }));
    } finally {
      const next = this.waiting.shift(); // takes the place as it is
      if (next) next();
      else this.readers--;
    }
  }
}

interface StandingRow {
  epoch: number;
  revision: string;
  hash: Buffer;
  root: Buffer | null;
  snapshot: string | null;
  snapshot_bytes: string | null;
}

const STANDING = `
  SELECT c.entered_epoch AS epoch, c.revision, c.hash, c.root, s.revision AS snapshot, s.bytes AS snapshot_bytes
  FROM chain c LEFT JOIN LATERAL (
    SELECT revision, bytes FROM store_snapshot WHERE environment_id = c.environment_id AND revision <= c.revision ORDER BY revision DESC LIMIT 1
  ) AS s ON true
  WHERE c.environment_id = $1 AND c.entered_epoch > 0`;

/** Lengths first: they are known without reading the bytes. */
const AFTER = `
  SELECT r.revision, r.epoch, r.hash, r.bytes, r.issued_at FROM (
    SELECT revision, sum(octet_length(bytes)) OVER (ORDER BY revision) - octet_length(bytes) AS before FROM (
      SELECT revision, bytes FROM revision WHERE environment_id = $1 AND revision > $2 ORDER BY revision LIMIT ${BATCH_REVISIONS}
    ) AS next
  ) AS batch JOIN revision AS r ON r.environment_id = $1 AND r.revision = batch.revision
  WHERE batch.before < ${BATCH_BYTES} ORDER BY r.revision`;
