import { hash } from 'node:crypto';
import { type ArtifactReader, LIMITS, releaseName, type TrustedKeys, verifyReleaseArtifact } from '#artifacts';
import { type Op, TABLE } from '#model';
import { jsonOf } from '../doctor/ask.js';
import { addFault, addThrown, type ChainReport } from './report.js';

/** Indented JSON is larger than the canonical one that it is made of. */
const MOST_BYTES = 4 * LIMITS.valueBytes;
const AT_ONCE = 4;

/** The artifacts of releases that revisions and snapshots name: what people read, and what no replica asks for. */
export class ReleaseCheck {
  /** digests by the names of their artifacts */
  private readonly named = new Map<string, string>();

  constructor(
    private readonly reader: ArtifactReader,
    private readonly report: ChainReport,
    private readonly signal: AbortSignal,
    private readonly onBytes: (bytes: number) => void,
  ) {}

  /** Remembers what has an artifact, and checks that it is named by its digest. @param object where it was read */
  note(object: string, ops: Iterable<Op>): void {
    for (const { table, key, value } of ops) {
      if (table !== TABLE.release || value === null) continue;
      const digest = hash('sha256', value);
      if (digest === key.toString('hex')) this.remember(value, digest);
      else addFault(this.report, object, 'wrong_digest', `the release ${key.toString('hex')} has the digest ${digest}`);
    }
  }

  async check(trusted: TrustedKeys): Promise<void> {
    const all = [...this.named];
    for (let at = 0; at < all.length; at += AT_ONCE)
      await Promise.all(all.slice(at, at + AT_ONCE).map(([name, digest]) => this.checkOne(name, digest, trusted)));
  }

  /** One that has no name has no artifact, either: a master writes none. */
  private remember(value: Buffer, digest: string): void {
    const { name, version } = (jsonOf(value.toString('utf8')) ?? {}) as { name?: unknown; version?: unknown };
    try {
      this.named.set(releaseName(this.report.environment, String(name), String(version), digest), digest);
    } catch {
      this.report.notes.push(`the release ${digest} has no name that an object could have, and so no artifact`);
    }
  }

  private async checkOne(name: string, digest: string, trusted: TrustedKeys): Promise<void> {
    try {
      const object = await this.reader.get(name, MOST_BYTES, this.signal);
      if (!object) {
        addFault(this.report, name, 'missing', 'it is not there, and the chain has that release');
        return;
      }
      this.onBytes(object.bytes.length);
      verifyReleaseArtifact(object.bytes, this.report.environment, digest, trusted);
      this.report.releases += 1;
    } catch (error) {
      addThrown(this.report, name, error);
    }
  }
}
