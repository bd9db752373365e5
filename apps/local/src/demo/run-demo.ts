import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DemoConfig } from '../config/demo-config.js';
import { MasterApi } from '../master-api.js';
import { onSignals } from '../signals.js';
import type { Summary } from '../summary.js';
import { DemoRun } from './demo-run.js';
import { Screen } from './screen.js';

/** Runs the demo beside a running system, and ends the process. */
export async function runDemo({ home, isBad }: DemoConfig): Promise<never> {
  const interrupted = new AbortController();
  // who pipes us into `head` has seen enough: the same as a Ctrl-C
  process.stdout.on('error', () => interrupted.abort());
  onSignals(
    () => interrupted.abort(),
    () => process.exit(130),
  );
  let exitCode: number;
  try {
    const system = runningIn(home);
    const api = new MasterApi(system.master, system.adminToken);
    const isGood = await new DemoRun(api, system, new Screen(process.stdout), interrupted.signal).run(isBad);
    exitCode = isGood ? 0 : 1;
  } catch (error) {
    process.stderr.write(`npm run demo: ${explain(error, home)}\n`);
    exitCode = 1;
  }
  process.exit(interrupted.signal.aborted ? 130 : exitCode);
}

/** @throws Error where npm start is not ready */
function runningIn(home: string): Summary {
  try {
    return JSON.parse(readFileSync(join(home, 'local.json'), 'utf8')) as Summary;
  } catch (error) {
    const advice = 'start it in another terminal, and wait until it is ready';
    throw new Error(`npm start does not run on ${home}; ${advice}`, { cause: error });
  }
}

function explain(error: unknown, home: string): string {
  // what fetch says when nobody listens
  if (error instanceof TypeError) return `the master does not answer: does npm start still run on ${home}?`;
  return (error as Error).message;
}
