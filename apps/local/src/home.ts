import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { newSigningKeyPem } from '#artifacts';
import { newToken } from '#model';
import { makeDirectory } from '#platform';

const secretsSchema = z.object({
  adminToken: z.string(),
  /** by environment, once the demo was published there: its key, and the upstream that its release names */
  demos: z.record(z.string(), z.strictObject({ key: z.string(), upstream: z.string() })).default({}),
  /** makes the requests that publish the demo repeatable after a crash between them */
  nonce: z.string(),
});
/** What has to be the same at the next start. */
export type Secrets = z.infer<typeof secretsSchema>;

const MARKER = 'HELIOGRAPH.txt';
const MARKER_TEXT = 'The state of `npm start`. `npm start -- --fresh` removes it and begins anew.\n';

/** Names in the directory of HELIO_HOME, in which the whole state of this system is. */
export class Home {
  /** @throws Error where the directory cannot be used, or is somebody else's */
  constructor(readonly root: string) {
    let entries: string[];
    try {
      makeDirectory(root);
      entries = readdirSync(root);
      if (entries.length === 0) writeFileSync(join(root, MARKER), MARKER_TEXT);
      accessSync(root, constants.W_OK);
    } catch (error) {
      throw new Error(`HELIO_HOME: ${root} cannot be used: ${(error as Error).message}`, { cause: error });
    }
    if (entries.length > 0 && !entries.includes(MARKER)) {
      throw new Error(
        `HELIO_HOME: ${root} is not empty and was not made by npm start; name a directory that is new or empty`,
      );
    }
  }

  // getters: fields would be made before the constructor has set `root`
  get postgres(): string {
    return join(this.root, 'postgres');
  }

  get store(): string {
    return join(this.root, 'store');
  }

  get lock(): string {
    return join(this.root, 'lock');
  }

  get signingKey(): string {
    return join(this.root, 'signing-key.pem');
  }

  /** how to get at the running system; there while all of it is ready */
  private get summary(): string {
    return join(this.root, 'local.json');
  }

  private get logs(): string {
    return join(this.root, 'logs');
  }

  private get regions(): string {
    return join(this.root, 'regions');
  }

  private get secretsFile(): string {
    return join(this.root, 'secrets.json');
  }

  /** Removes what earlier starts have made, and nothing else. */
  clear(): void {
    for (const entry of [
      this.summary,
      this.secretsFile,
      this.signingKey,
      this.postgres,
      this.store,
      this.regions,
      this.logs,
    ]) {
      rmSync(entry, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  stateOf(region: string): string {
    return join(this.regions, region);
  }

  /** Whether the region's replica has become one: it keeps who it is in this file, and needs no join token any more. */
  hasJoined(region: string): boolean {
    return existsSync(join(this.stateOf(region), 'identity.json'));
  }

  /** A new log; the one of the start before is kept beside it. */
  newLog(name: string): string {
    makeDirectory(this.logs);
    const path = join(this.logs, `${name}.log`);
    if (existsSync(path)) renameSync(path, `${path}.1`);
    writeFileSync(path, '', { mode: 0o600 });
    return path;
  }

  /** Those of the earlier starts; made at the first one, with the key that signs revisions. */
  secrets(): Secrets {
    if (!existsSync(this.signingKey)) this.write(this.signingKey, newSigningKeyPem());
    if (!existsSync(this.secretsFile)) this.keep({ adminToken: newToken('local'), demos: {}, nonce: newToken('demo') });
    const text = readFileSync(this.secretsFile, 'utf8');
    try {
      return secretsSchema.parse(JSON.parse(text));
    } catch (error) {
      throw new Error(`${this.secretsFile} is damaged; npm start -- --fresh begins anew: ${String(error)}`, {
        cause: error,
      });
    }
  }

  keep(secrets: Secrets): void {
    this.write(this.secretsFile, `${JSON.stringify(secrets, null, 2)}\n`);
  }

  writeSummary(summary: object): void {
    this.write(this.summary, `${JSON.stringify(summary, null, 2)}\n`);
  }

  removeSummary(): void {
    rmSync(this.summary, { force: true });
  }

  /** Whole or not at all, and for this user's eyes only. */
  private write(path: string, text: string): void {
    const draft = `${path}.new`;
    writeFileSync(draft, text, { mode: 0o600, flush: true });
    renameSync(draft, path);
  }
}
