import type { SealedBytes } from '../publishing/index.js';
import type { Query } from '../publishing/options.js';
import { readStanding, type Standing } from '../publishing/standing.js';

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

  standing(environment: string): Promise<Standing | null> {
    return readStanding(this.query, environment);
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

/** Lengths first: they are known without reading the bytes. */
const AFTER = `
  SELECT r.revision, r.epoch, r.hash, r.bytes, r.issued_at FROM (
    SELECT revision, sum(octet_length(bytes)) OVER (ORDER BY revision) - octet_length(bytes) AS before FROM (
      SELECT revision, bytes FROM revision WHERE environment_id = $1 AND revision > $2 ORDER BY revision LIMIT ${BATCH_REVISIONS}
    ) AS next
  ) AS batch JOIN revision AS r ON r.environment_id = $1 AND r.revision = batch.revision
  WHERE batch.before < ${BATCH_BYTES} ORDER BY r.revision`;
