/** What became of the requests of one kind. */
interface Row {
  sent: number;
  /** by status class, 1xx to 5xx */
  classes: number[];
  /** by us, on purpose */
  brokenOff: number;
  /** with a worker that was killed */
  lost: number;
  wrong: number;
}

const SHOWN = 20;
/** A connection of a worker that was killed may be noticed so much later. */
const NOTICED_MS = 2000;

/** Every request, and what became of it. */
export class Ledger {
  readonly rows = new Map<string, Row>();
  readonly wrongs: string[] = [];
  readonly open = new Set<Attempt>();
  /** when workers were killed */
  readonly kills: number[] = [];
  answered = 0;
  unanswered = 0;
  #last = 0;

  begin(kind: string): Attempt {
    let row = this.rows.get(kind);
    if (!row) this.rows.set(kind, (row = { sent: 0, classes: [0, 0, 0, 0, 0], brokenOff: 0, lost: 0, wrong: 0 }));
    row.sent += 1;
    const attempt = new Attempt(this, row, kind, `${kind.replaceAll(' ', '-')}-${++this.#last}`);
    this.open.add(attempt);
    return attempt;
  }

  wrong(text: string, row?: Row): void {
    if (row) row.wrong += 1;
    this.wrongs.push(`${new Date().toISOString()} ${text}`);
  }

  /** A connection that ended for a reason that we know. */
  wasKilled(from: number, to: number): boolean {
    return this.kills.some((at) => at >= from - NOTICED_MS && at <= to);
  }

  table(): string {
    const head = ['', 'sent', '1xx', '2xx', '3xx', '4xx', '5xx', 'broken off', 'lost with a worker', 'wrong'];
    const lines = [...this.rows].map(([kind, { brokenOff, classes, lost, sent, wrong }]) =>
      [kind, sent, ...classes, brokenOff, lost, wrong].map(String),
    );
    const total = head.slice(1).map((_, at) => lines.reduce((sum, line) => sum + Number(line[at + 1]), 0));
    const rows = [head, ...lines, ['together', ...total.map(String)]];
    const widths = head.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
    const padded = (cell: string, at: number): string =>
      at === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[at] ?? 0);
    return rows.map((row) => `  ${row.map(padded).join('  ')}`).join('\n');
  }

  wrongsShown(): string[] {
    const more = this.wrongs.length - SHOWN;
    return [...this.wrongs.slice(0, SHOWN), ...(more > 0 ? [`and ${more} more`] : [])].map((text) => `  WRONG ${text}`);
  }
}

/** One request. It ends once: answered, or not. */
export class Attempt {
  readonly sentAt = performance.now();

  constructor(
    private readonly ledger: Ledger,
    private readonly row: Row,
    readonly kind: string,
    readonly id: string,
  ) {}

  /** @param fault what is wrong with the answer */
  answered(status: number, fault: string | null): void {
    this.end();
    this.ledger.answered += 1;
    const index = Math.floor(status / 100) - 1;
    this.row.classes[index] = (this.row.classes[index] ?? 0) + 1;
    if (fault !== null) this.ledger.wrong(`${this.id}: ${status}, ${fault}`, this.row);
  }

  brokenOff(): void {
    this.end();
    this.ledger.unanswered += 1;
    this.row.brokenOff += 1;
  }

  /** Its connection ended, which only the end of a worker may be the reason of; nobody may be refused one. */
  failed(error: unknown): void {
    this.end();
    this.ledger.unanswered += 1;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ECONNREFUSED' && this.ledger.wasKilled(this.sentAt, performance.now())) this.row.lost += 1;
    else this.ledger.wrong(`${this.id}: no answer, ${code ?? ''} ${message}`, this.row);
  }

  private end(): void {
    if (!this.ledger.open.delete(this)) this.ledger.wrong(`${this.id}: ended twice`, this.row);
  }
}
