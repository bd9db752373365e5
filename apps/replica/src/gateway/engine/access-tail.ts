import { TAIL, type TailFilter, type TailLines, type TailWish } from '#model';
import { OpenTails } from '../open-tails.js';
import { type AccessEntry, lineOf } from './access-log.js';

/** Lines of so long go together. */
const TELL_MS = 200;

/** Tells those who look of requests as they end, whatever the access log takes. While nobody looks, a request asks for one boolean. */
export class AccessTail {
  /** somebody looks */
  active = false;
  private readonly tails = new OpenTails(() => this.ended());
  private teller: NodeJS.Timeout | null = null;

  /** @param tell takes lines at once, to wherever they go @param now milliseconds since 1970 */
  constructor(
    private readonly tell: (lines: TailLines) => void,
    private readonly now: () => number,
  ) {}

  hold(wish: TailWish): void {
    this.tails.hold(wish);
    this.active = this.tails.size > 0;
    if (this.active) this.teller ??= setInterval(() => this.tellAll(), TELL_MS).unref();
  }

  /** To be called while it is active. A line is made only for those who have room for it. */
  write(entry: AccessEntry): void {
    let line: string | null = null;
    for (const { wish, waiting } of this.tails.values()) {
      if (!isWanted(wish.filter, entry)) continue;
      if (!waiting.isFull) line ??= JSON.stringify(lineOf(entry, this.now()));
      // a master takes no longer ones: a route may have a name of any length
      if (line === null || line.length > TAIL.lineChars) waiting.leftOut(1);
      else waiting.put(line);
    }
  }

  close(): void {
    this.tellAll(1000);
    this.tails.close();
  }

  /** @param ofMs as many as belong to so long: this is what keeps the rate */
  private tellAll(ofMs: number = TELL_MS): void {
    for (const { wish, waiting } of this.tails.values()) {
      if (waiting.isEmpty) continue;
      const most = Math.ceil((wish.linesPerSecond * ofMs) / 1000);
      this.tell({ tail: wish.tail, ...waiting.take(most, TAIL.messageChars) });
    }
  }

  private ended(): void {
    this.active = this.tails.size > 0;
    if (this.active || this.teller === null) return;
    clearInterval(this.teller);
    this.teller = null;
  }
}

function isWanted({ api, application, status }: TailFilter, entry: AccessEntry): boolean {
  if (application !== undefined && entry.application !== application) return false;
  if (api !== undefined && entry.api !== api && entry.api?.startsWith(`${api}:`) !== true) return false;
  if (status === undefined) return true;
  return status.endsWith('xx') ? Math.floor(entry.status / 100) === Number(status[0]) : entry.status === Number(status);
}
