import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Publications, type Published, RevisionLookup } from '../publishing/index.js';

/** A write is durable before this; past it the answer goes out without saying its revision. */
const WAIT_MS = 10_000;

/** Which revision of a chain carries a write. */
export interface Carrier {
  environment: string;
  /** null: it was not known in time */
  revision: number | null;
}

interface Waiting {
  /** when it was expected; what is never published is swept out */
  since: number;
  revision: number | null;
  /** null: nobody waits yet, for all that is known it has not committed */
  settle: (() => void) | null;
  /** another master published before anybody waited */
  missed: boolean;
}

/** A statement that is a transaction by itself: that one's id is known only once it has committed. */
export interface Anticipated {
  /** Its id is known; from now on `carriersOf` knows it. */
  is(xid: string): void;
  /** It has come to its end, whichever. */
  end(): void;
}

/** What is published while the statement is under way. */
interface Anticipation {
  environment: string;
  /** by transaction */
  revisions: Map<string, number>;
  /** another master published */
  missed: boolean;
}

/** As headers and bodies name them, `prod@184`; the unknown ones are left out. */
export function revisionNames(carriers: readonly Carrier[]): string[] {
  return carriers.flatMap(({ environment, revision }) => (revision === null ? [] : [`${environment}@${revision}`]));
}

/** Finds out which revision carries a transaction: told by the publisher of this process, or looked up. */
@Injectable()
export class RevisionWaiter implements OnApplicationShutdown {
  private readonly waiting = new Map<string, Waiting>();
  private readonly anticipated = new Set<Anticipation>();
  private readonly unsubscribe: () => void;
  private readonly sweep = setInterval(() => this.sweepOut(Date.now()), WAIT_MS).unref();

  constructor(
    publications: Publications,
    private readonly lookup: RevisionLookup,
  ) {
    this.unsubscribe = publications.subscribe((published) => this.onPublished(published));
  }

  /** When the last request was answered: while the server closes, some still wait for their revision. */
  onApplicationShutdown(): void {
    clearInterval(this.sweep);
    this.unsubscribe();
  }

  /** To be called before the transaction commits: its revision may be out before the caller knows of the commit. */
  expect(xid: string, environments: readonly string[]): void {
    for (const environment of environments)
      this.waiting.set(`${environment}/${xid}`, { since: Date.now(), revision: null, settle: null, missed: false });
  }

  /** To be called before a statement is sent that commits by itself: its revision may be out before its answer is read. */
  anticipate(environment: string): Anticipated {
    const anticipation: Anticipation = { environment, revisions: new Map(), missed: false };
    const { revisions } = anticipation;
    this.anticipated.add(anticipation);
    return {
      is: (xid) =>
        void this.waiting.set(`${environment}/${xid}`, {
          since: Date.now(),
          revision: revisions.get(xid) ?? null,
          settle: null,
          missed: anticipation.missed,
        }),
      end: () => void this.anticipated.delete(anticipation),
    };
  }

  /** @returns one for each environment, in order; without its revision where that is not known within ten seconds */
  async carriersOf(xid: string, environments: readonly string[]): Promise<Carrier[]> {
    return Promise.all(
      environments.map(async (environment) => ({ environment, revision: await this.revisionOf(xid, environment) })),
    );
  }

  private async revisionOf(xid: string, environment: string): Promise<number | null> {
    const id = `${environment}/${xid}`;
    const entry = this.waiting.get(id) ?? this.givenAgain(id);
    if (entry.revision === null) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, WAIT_MS);
        const others = entry.settle; // the same request came twice
        entry.settle = () => {
          clearTimeout(timer);
          others?.();
          resolve();
        };
        if (entry.missed) void this.lookUp(id, xid, environment);
      });
    }
    this.waiting.delete(id);
    return entry.revision ?? this.lookup.revisionOf(xid, environment);
  }

  /** For a kept answer: its transaction committed some time ago, at whichever master, which may have died before it was published. */
  private givenAgain(id: string): Waiting {
    const entry: Waiting = { since: Date.now(), revision: null, settle: null, missed: true };
    this.waiting.set(id, entry);
    return entry;
  }

  private onPublished({ environment, xids, revision }: Published): void {
    for (const anticipation of this.anticipated) {
      if (anticipation.environment !== environment) continue;
      if (xids === null) anticipation.missed = true;
      else for (const xid of xids) anticipation.revisions.set(xid, revision);
    }
    if (xids === null) void this.lookUpWaiting(environment);
    else for (const xid of xids) this.resolve(`${environment}/${xid}`, revision);
  }

  /** Another master published: which of our writes it carried is in the database. */
  private async lookUpWaiting(environment: string): Promise<void> {
    const prefix = `${environment}/`;
    for (const [id, entry] of this.waiting) {
      if (!id.startsWith(prefix)) continue;
      if (entry.settle) await this.lookUp(id, id.slice(prefix.length), environment);
      else entry.missed = true; // before its commit there is nothing to find
    }
  }

  private async lookUp(id: string, xid: string, environment: string): Promise<void> {
    const revision = await this.lookup.revisionOf(xid, environment).catch(() => null); // the wait's end asks again
    if (revision !== null) this.resolve(id, revision);
  }

  /** A transaction that failed to commit is never published. */
  private sweepOut(now: number): void {
    for (const [id, entry] of this.waiting) {
      if (!entry.settle && now - entry.since > 10 * WAIT_MS) this.waiting.delete(id);
    }
  }

  private resolve(id: string, revision: number): void {
    const entry = this.waiting.get(id);
    if (!entry) return;
    entry.revision = revision;
    entry.settle?.();
  }
}
