import { type ChainPosition, verifyRevision } from '#artifacts';
import type { Logger } from '#platform';
import type { PublishingOptions } from '../options.js';
import type { Term } from '../term.js';
import type { Fence } from './fence.js';
import type { ReplicaAhead, ReplicaSupply } from './replica-supply.js';

/** A replica has the revision after ours, which is not here, properly signed, and continuing this chain. */
export interface Proof {
  replica: string;
  /** of that revision */
  epoch: number;
  revision: number;
  hash: Buffer;
  keyId: Buffer;
}

/** How many replicas are remembered whose claims are no news. */
const MOST_NOTED = 1_000;
/** Between two looks: what is claimed and cannot be shown costs the fleet a revision each time. */
const LOOK_MS = 5_000;

/**
 * What replicas claim to have beyond this database while a term publishes: looked into beside publishing, which waits for
 * nobody's word. What cannot be verified is told once, and stays what the replica says of itself.
 */
export class Claims {
  private open = false;
  private looking = false;
  /** not before, on the monotonic clock */
  private next = 0;
  private found: { proof: Proof; epoch: number } | null = null;
  private readonly noted = new Map<string, string>();

  /** @param onProof called when `proof` has something to say */
  constructor(
    private readonly environment: string,
    private readonly options: Pick<PublishingOptions, 'query' | 'replicas'>,
    private readonly log: Logger,
    private readonly signal: AbortSignal,
    private readonly onProof: () => void,
  ) {}

  /** A replica says that it has more than this database. */
  notice(): void {
    this.open = true;
  }

  /** Begins to look into what was noticed; never waits. @returns what was found out during this term; once */
  proof(term: Term): Proof | null {
    if (this.open && !this.looking && performance.now() >= this.next) {
      this.open = false;
      this.looking = true;
      void this.examine(term).finally(() => {
        this.looking = false;
        this.next = performance.now() + LOOK_MS;
      });
    }
    const { found } = this;
    this.found = null;
    return found?.epoch === term.epoch ? found.proof : null;
  }

  private async examine(term: Term): Promise<void> {
    const supply = this.options.replicas?.get();
    for (const claim of supply?.ahead(this.environment, term.revision) ?? []) {
      try {
        const proof = supply && (await this.verify(term, supply, claim));
        if (!proof) continue; // its term is over, or it had nothing to show
        this.found = { proof, epoch: term.epoch };
        this.onProof();
        return;
      } catch (error) {
        this.note(claim, (error as Error).message);
      }
    }
  }

  /** @throws what is wrong with it */
  private async verify(term: Term, supply: ReplicaSupply, { replica }: ReplicaAhead): Promise<Proof | null> {
    const next = term.revision + 1;
    for await (const bytes of supply.fetch(this.environment, replica, next, next, this.signal)) {
      // the term has gone on meanwhile: then this is another revision of that number than ours
      const [row] = await this.options.query<{ epoch: number; revision: string; hash: Buffer }>(POSITION, [
        this.environment,
        term.epoch,
      ]);
      if (!row) return null;
      const position: ChainPosition = { environment: this.environment, ...row, revision: Number(row.revision) };
      const { header, hash } = verifyRevision(bytes, position, term.trust.current);
      const { epoch, revision, keyId } = header;
      return { replica, epoch, revision, hash, keyId };
    }
    return null;
  }

  private note({ replica, epoch, revision }: ReplicaAhead, problem: string): void {
    const text = `${epoch}/${revision}`;
    if (this.signal.aborted || this.noted.get(replica) === text) return;
    if (this.noted.size >= MOST_NOTED) this.noted.clear();
    this.noted.set(replica, text);
    this.log.error(
      { replica, epoch, revision, cause: problem },
      'a replica says that it has revisions which this database does not have; they do not continue this chain',
    );
  }
}

/** What is to be told of revisions that a replica has. */
export function fenceOf({ replica, epoch, revision, hash, keyId: id }: Proof): Fence {
  const keyId = id.toString('hex');
  return {
    reason: 'replaced',
    epoch,
    revision,
    hash: hash.toString('hex'),
    keyId,
    firstDifferent: null,
    replica,
    since: new Date().toISOString(),
    detail:
      `the replica ${replica} has revision ${revision} of epoch ${epoch}, signed by the key ${keyId}, which is not here: ` +
      'another master with another database publishes this environment, or this one has gone back in time',
  };
}

const POSITION = `
  SELECT coalesce(r.epoch, 0) AS epoch, c.revision, c.hash
  FROM chain c LEFT JOIN revision r ON r.environment_id = c.environment_id AND r.revision = c.revision
  WHERE c.environment_id = $1 AND c.epoch = $2`;
