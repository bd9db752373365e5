import { once } from 'node:events';
import type { MasterApi } from './api/master-api.js';
import type { Environment, Globals } from './config/environment.js';
import { CliError, EXIT, type Exit } from './exit.js';
import type { Format, View } from './output/output.js';
import { type Style, styleFor } from './output/style.js';

/** The streams of a process; stand-ins in tests. */
export type Streams = Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr'>;

/** What a command has to do with the world around it: see command.ts. */
export class Cli {
  /** how to end where nothing is thrown */
  exit: Exit = 'ok';
  readonly style: Style;
  private globals: Globals = {};
  private path = 'helio';
  private connected: Promise<MasterApi> | undefined;
  private readonly closed = new AbortController();
  /** also ends what is being asked of a master: one that hangs is not waited for */
  private readonly stop = new AbortController();

  constructor(
    readonly env: Environment,
    readonly streams: Streams,
  ) {
    this.style = styleFor(this.colours);
    for (const stream of [streams.stdout, streams.stderr])
      stream.on('error', (error: NodeJS.ErrnoException) => this.onStreamError(error));
  }

  /** Whether a person sees the results as they come. */
  get terminal(): boolean {
    return this.streams.stdout.isTTY;
  }

  /** Whether questions can be asked. */
  get interactive(): boolean {
    return this.streams.stdin.isTTY && this.streams.stderr.isTTY;
  }

  get colours(): boolean {
    return this.terminal && !this.env.plain;
  }

  /** Called with the options of the command that runs. @param path like `helio plan create` */
  use(globals: Globals, path: string): void {
    this.globals = globals;
    this.path = path;
  }

  /** The master of the context in use. @throws CliError where there is none */
  api(): Promise<MasterApi> {
    this.connected ??= this.connect();
    return this.connected;
  }

  private async connect(): Promise<MasterApi> {
    const [{ chooseTarget }, { MasterApi: Api }] = await Promise.all([
      import('./contexts/choose-target.js'),
      import('./api/master-api.js'),
    ]);
    return new Api(chooseTarget(this.env, this.globals), this.stop.signal);
  }

  write(text: string): void {
    if (!this.closed.signal.aborted) this.streams.stdout.write(text);
  }

  /** For output of any size: resolves when there is room for more. */
  async drained(text: string): Promise<void> {
    if (this.closed.signal.aborted || this.streams.stdout.write(text)) return;
    await once(this.streams.stdout, 'drain', { signal: this.closed.signal }).catch((error: unknown) => {
      if (!this.closed.signal.aborted) throw error;
    });
  }

  writeError(text: string): void {
    this.streams.stderr.write(text);
  }

  out(line = ''): void {
    this.write(`${line}\n`);
  }

  note(line: string): void {
    this.writeError(`${line}\n`);
  }

  async print<T>(format: Format, view: View<T>): Promise<void> {
    const { render } = await import('./output/render.js');
    this.write(await render(format, view, this.style));
  }

  complain({ message, lines, exit, next = exit === 'usage' ? helpOf(this.path) : undefined }: CliError): void {
    const { bold, red } = styleFor(this.streams.stderr.isTTY && !this.env.plain);
    this.note(`${red('helio:')} ${message}`);
    for (const line of lines) this.note(`  ${line}`);
    if (next) this.note(`${bold('next:')} ${next}`);
  }

  /**
   * @param question ends with a question mark
   * @param yes whether the answer was given with the command line
   * @throws CliError where it is denied, and where nobody can be asked
   */
  async confirm(question: string, yes = false): Promise<void> {
    if (yes) return;
    if (!this.interactive)
      throw new CliError(`${question} Nobody can be asked here.`, { exit: 'usage', next: 'Say --yes.' });
    const { confirm } = await import('@inquirer/prompts');
    // on standard error: standard output is for results
    const agreed = await confirm({ message: question, default: false }, { output: this.streams.stderr });
    if (!agreed) throw new CliError('Nothing was changed.', { exit: 'interrupted' });
  }

  /** Asks for a secret, which is not shown. @throws CliError where nobody can be asked */
  async secret(question: string, otherwise: string): Promise<string> {
    if (!this.interactive)
      throw new CliError(`${question}: nobody can be asked here.`, { exit: 'usage', next: otherwise });
    const { password } = await import('@inquirer/prompts');
    return password({ message: question, mask: true }, { output: this.streams.stderr });
  }

  /**
   * For work that goes on until somebody has enough of it: Ctrl-C, SIGTERM, or the reader of a pipe has gone. The work ends
   * by its signal, and that is a good end.
   */
  async follow(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const onSignal = (): void => this.stop.abort();
    const signals = ['SIGINT', 'SIGTERM'] as const;
    for (const name of signals) process.once(name, onSignal); // once: a second Ctrl-C ends the process as ever
    const signal = AbortSignal.any([this.stop.signal, this.closed.signal]);
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      for (const name of signals) process.off(name, onSignal);
    }
  }

  /** `helio ... | head` is no fault: what is under way is finished, and not written any more. */
  private onStreamError(error: NodeJS.ErrnoException): void {
    this.closed.abort();
    if (error.code === 'EPIPE') return;
    // a full disk: standard error may be elsewhere
    this.exit = 'failed';
    process.exitCode = EXIT.failed.code; // where it comes after the end of the command
    this.note(`helio: the output cannot be written: ${error.message}`);
  }
}

/** What to do next about a command line that is not right. */
export function helpOf(path: string): string {
  return `\`${path} --help\` shows what it takes.`;
}
