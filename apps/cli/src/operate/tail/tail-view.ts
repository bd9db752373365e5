import { z } from 'zod';
import type { Cli } from '../../cli.js';
import { textOf } from '../../output/render.js';
import { type Style, visible } from '../../output/style.js';
import { jsonOf } from '../doctor/ask.js';
import type { SentEvent } from '../event-lines.js';
import type { ApplicationNames } from './application-names.js';

type Line = Record<string, unknown>;

const replicas = z.object({
  followed: z.array(z.string()),
  missing: z.array(z.object({ replica: z.string(), because: z.string() })),
});

/** Lines on standard output, as fast as they are taken; what is to be known of them on standard error. */
export class TailView {
  /** whoever tells is away, and that was said */
  private isAway = false;
  private followed = '';

  /** @param names null: there is no master to ask */
  constructor(
    private readonly cli: Cli,
    private readonly format: 'line' | 'json',
    private readonly names: ApplicationNames | null,
  ) {}

  /** Resolves when there is room for more: a reader that is slow makes the master leave lines out, and nothing grows. */
  async event({ type, data }: SentEvent): Promise<void> {
    const said = jsonOf(data);
    if (type === 'line') return isLine(said) ? this.line(said) : undefined;
    if (type === 'dropped') return this.dropped(Number((said as { lines?: unknown } | null)?.lines));
    const parsed = replicas.safeParse(said);
    if (type !== 'replicas' || !parsed.success) return; // a newer master may say more
    const { followed, missing } = parsed.data;
    if (followed.length > 0) this.following(followed);
    else if (missing.length === 0) this.cli.note('no replica has joined there yet');
    for (const { replica, because } of missing) this.cli.note(visible(`${replica} is missing: ${because}`));
  }

  async line(line: Line): Promise<void> {
    this.isAway = false;
    const text = this.format === 'json' ? visible(JSON.stringify(line)) : await this.readable(line);
    await this.cli.drained(`${text}\n`);
  }

  private async readable(line: Line): Promise<string> {
    const { application } = line;
    const name = this.names && typeof application === 'string' ? await this.names.of(application) : application;
    return lineText({ ...line, application: name }, this.cli.style);
  }

  dropped(count: number): void {
    if (count > 0)
      this.cli.note(`${count} lines were left out: more came than are shown; --api, --app and --status choose`);
  }

  /** Said once, and again when they are others, or were away. */
  following(replicas: readonly string[]): void {
    const followed = replicas.join(', ');
    if (followed !== this.followed || this.isAway) this.cli.note(visible(`following ${followed}`));
    this.followed = followed;
    this.isAway = false;
  }

  lost(message: string): void {
    if (!this.isAway) this.cli.note(visible(`the connection is lost, and made again; lines are missing: ${message}`));
    this.isAway = true;
  }
}

function isLine(said: unknown): said is Line {
  return typeof said === 'object' && said !== null;
}

/** One request on one line. @param line as the access log tells it */
export function lineText(line: Line, style: Style): string {
  const { time, replica, status, method, path, totalMs, code, api, application, address } = line;
  const parts = [
    typeof time === 'string' ? visible(time.slice(11, 23)) : '-',
    ...(replica === undefined ? [] : [textOf(replica)]),
    statusText(status, style),
    `${textOf(method)} ${textOf(path)}`,
    `${typeof totalMs === 'number' ? totalMs.toFixed(1) : '-'} ms`,
    ...[code, api].filter((one) => one !== null).map(textOf),
    ...(application === null ? [] : [`app ${textOf(application)}`]),
    `from ${textOf(address)}`,
  ];
  return parts.join('  ');
}

function statusText(status: unknown, style: Style): string {
  if (status === 0) return style.yellow('gone'); // the client broke it off
  const text = textOf(status);
  if (typeof status !== 'number' || status < 400) return text;
  return status < 500 ? style.yellow(text) : style.red(text);
}
