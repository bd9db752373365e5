import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { build } from './app-process.js';
import { until } from './until.js';

export interface HelioOptions {
  /** its whole environment, but for PATH and an empty directory for contexts: nothing of the test's own reaches it */
  env?: Record<string, string>;
  /** where contexts are kept; default: a new one */
  config?: string;
  /** what it reads from standard input; default: nothing */
  input?: string | Buffer;
  cwd?: string;
  /** ends it by SIGTERM */
  signal?: AbortSignal;
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

const MAIN = fileURLToPath(new URL('../../dist/apps/cli/src/main.js', import.meta.url)).replace(
  '/dist/dist/',
  '/dist/',
);

/** A directory with `helio` in it, for the `PATH` of a shell. */
export function helioOnPath(): string {
  build();
  const directory = mkdtempSync(join(tmpdir(), 'heliograph-bin-'));
  const script = `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`;
  writeFileSync(join(directory, 'helio'), script, { mode: 0o755 });
  return directory;
}

/** Runs the built command line in pipes, to its end. */
export async function helio(args: readonly string[], options: HelioOptions = {}): Promise<Ended> {
  build();
  const { cwd, input = '', signal } = options;
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: environmentOf(options), signal });
  child.on('error', () => {}); // the signal's; how it ended says enough
  child.stdin.on('error', () => {}); // it may end without having read everything
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number | null, stdout, stderr };
}

export interface Terminal {
  /** all that it wrote so far, with what a terminal would obey */
  output: () => string;
  /** Waits until the output has it, then types. */
  answer: (expected: string | RegExp, typed: string) => Promise<void>;
  type: (typed: string) => void;
  ended: Promise<number>;
  kill: (signal: NodeJS.Signals) => void;
}

export type TerminalOptions = HelioOptions & { columns?: number; rows?: number };

/** Runs it in a pseudo-terminal, as a person would. */
export function onTerminal(args: readonly string[], options: TerminalOptions = {}): Promise<Terminal> {
  build();
  return terminalOf(process.execPath, [MAIN, ...args], options);
}

/** A pseudo-terminal of any program: a shell. */
export async function terminalOf(
  file: string,
  args: readonly string[],
  options: TerminalOptions = {},
): Promise<Terminal> {
  const { spawn: open } = await import('@lydell/node-pty');
  const { cwd, columns = 100, rows = 40 } = options;
  const env = { TERM: 'xterm-256color', ...environmentOf(options) };
  const pty = open(file, [...args], { cwd, env, cols: columns, rows });
  let output = '';
  pty.onData((more) => (output += more));
  const ended = new Promise<number>((resolve) => pty.onExit(({ exitCode }) => resolve(exitCode)));
  const shows = (expected: string | RegExp): boolean =>
    typeof expected === 'string' ? output.includes(expected) : expected.test(output);
  return {
    output: () => output,
    type: (typed) => pty.write(typed),
    answer: async (expected, typed) => {
      await until(() => Promise.resolve(shows(expected)), {
        what: `the terminal to show ${expected}; it shows ${output}`,
      });
      pty.write(typed);
    },
    ended,
    kill: (signal) => pty.kill(signal),
  };
}

function environmentOf({
  env,
  config = mkdtempSync(join(tmpdir(), 'heliograph-cli-')),
}: HelioOptions): Record<string, string> {
  return { PATH: process.env.PATH ?? '', XDG_CONFIG_HOME: config, ...env };
}
