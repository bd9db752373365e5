import { fstatSync, write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a pipe takes as a whole or not at all (PIPE_BUF): lines of several workers on one pipe do not get mixed up. */
const CHUNK_BYTES = 4096;
/** What may wait. */
const WAITING_BYTES = 1024 * 1024;
const FULL_MS = 20;
/** After an error: the disk is full, or nobody reads any more. */
const BROKEN_MS = 1000;

interface Chunk {
  text: string;
  lines: number;
}

/**
 * Lines to a file descriptor, whatever is behind it. Written by the thread pool, one write at a time: a full pipe, a slow
 * disk or a reader that sleeps never holds up the event loop. What is too much is left out and counted.
 */
export class LineSink {
  /** lines that nobody got */
  dropped = 0;
  private readonly chunks: Chunk[] = [];
  private waiting = 0;
  private running: Promise<void> | null = null;

  /** @param fd stays open */
  constructor(private readonly fd: number) {
    // Its getter makes a pipe non-blocking. A write to a blocking one that is full would hold a thread of the pool, and with it
    // the end of the process.
    if (fd === 1 && isPipe(fd)) void process.stdout;
  }

  /** @param line ASCII, without its end, and shorter than 4 KiB @returns whether it will be written, as far as one can tell */
  write(line: string): boolean {
    const length = line.length + 1;
    if (this.waiting + length > WAITING_BYTES) {
      this.dropped += 1;
      return false;
    }
    this.waiting += length;
    const last = this.chunks.at(-1);
    if (last && last.text.length + length <= CHUNK_BYTES) {
      last.text += `${line}\n`;
      last.lines += 1;
    } else {
      this.chunks.push({ text: `${line}\n`, lines: 1 });
    }
    this.running ??= this.run();
    return true;
  }

  /** Resolves when all was written, or the time is over. */
  async flush(withinMs: number): Promise<void> {
    const late = new AbortController();
    await Promise.race([this.running, sleep(withinMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
  }

  private async run(): Promise<void> {
    // what this turn of the event loop brings leaves together
    await new Promise((resolve) => setImmediate(resolve));
    for (let chunk = this.chunks.shift(); chunk; chunk = this.chunks.shift()) {
      const failed = !(await this.put(Buffer.from(chunk.text, 'latin1')));
      this.waiting -= chunk.text.length;
      if (!failed) continue;
      this.dropped += chunk.lines;
      await sleep(BROKEN_MS, undefined, { ref: false });
    }
    this.running = null;
  }

  /** @returns false: it cannot be written */
  private async put(bytes: Buffer): Promise<boolean> {
    let at = 0;
    while (at < bytes.length) {
      const { error, written } = await this.once(bytes, at);
      at += written;
      if (error?.code === 'EAGAIN') await sleep(FULL_MS, undefined, { ref: false });
      else if (error) return false;
    }
    return true;
  }

  private once(bytes: Buffer, at: number): Promise<{ error: NodeJS.ErrnoException | null; written: number }> {
    return new Promise((resolve) =>
      write(this.fd, bytes, at, bytes.length - at, null, (error, written) => resolve({ error, written: written || 0 })),
    );
  }
}

function isPipe(fd: number): boolean {
  const stat = fstatSync(fd);
  return stat.isFIFO() || stat.isSocket();
}
