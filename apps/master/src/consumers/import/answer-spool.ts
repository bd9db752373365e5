import { createReadStream, mkdtempSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const MEMORY = 1024 * 1024;

/**
 * Writes answers while the request is still coming in. Most clients read only once they have sent everything: when the
 * socket takes no more, the rest goes to a temporary file, so that neither waits for the other and memory stays bounded.
 */
export class AnswerSpool {
  private file: FileHandle | null = null;
  private directory = '';

  constructor(private readonly response: ServerResponse) {}

  async write(text: string): Promise<void> {
    if (!this.file && this.response.writableLength < MEMORY) {
      this.response.write(text);
      return;
    }
    if (!this.file) {
      this.directory = mkdtempSync(join(tmpdir(), 'helio-import-'));
      this.file = await open(join(this.directory, 'answers.ndjson'), 'w', 0o600);
    }
    await this.file.write(text);
  }

  /** Sends what was put aside, and ends the response. */
  async end(): Promise<void> {
    try {
      if (this.file) {
        await this.file.close();
        this.file = null;
        await pipeline(createReadStream(join(this.directory, 'answers.ndjson')), this.response);
      } else this.response.end();
    } finally {
      await this.discard();
    }
  }

  /** Removes the temporary file; more than once does no harm. */
  async discard(): Promise<void> {
    const { file, directory } = this;
    this.file = null;
    this.directory = '';
    await file?.close();
    if (directory) await rm(directory, { recursive: true, force: true });
  }
}
