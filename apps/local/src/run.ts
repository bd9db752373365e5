import type { LocalConfig } from './config/config.js';
import { KEY_HEADER } from './demo.js';
import { LocalSystem, type Summary } from './local-system.js';

/** npm passes a Ctrl-C on that the terminal has already sent to us, on a busy machine after a while: two this close are one. */
const SAME_KEYSTROKE_MS = 1_000;

/** Starts the system and keeps it until a signal ends it; ends the process in any case. */
export async function run(config: LocalConfig): Promise<void> {
  const say = (text: string) => process.stderr.write(`heliograph: ${text}\n`);
  // `npm start | head`: that nobody reads is no reason to fall over
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  let system: LocalSystem;
  try {
    system = new LocalSystem(config, say);
  } catch (error) {
    say((error as Error).message);
    process.exit(1);
  }
  stopOnSignals(system, config, say);
  say('starting PostgreSQL, a master, and a replica in each of two regions ...');
  try {
    const summary = await system.start();
    process.stdout.write(describe(summary, config, system.timeline));
  } catch (error) {
    if (system.isStopping) return; // a signal came first, and sees to the end
    say((error as Error).message);
    await system.stop();
    process.exit(1);
  }
}

function stopOnSignals(system: LocalSystem, config: LocalConfig, say: (text: string) => void): void {
  let since: number | undefined;
  const onSignal = () => {
    if (since === undefined) {
      since = performance.now();
      say('stopping; once more to stop at once');
      void end(
        system.stop().then(() => say(`stopped; the state is kept in ${config.home}`)),
        0,
      );
    } else if (performance.now() - since > SAME_KEYSTROKE_MS) {
      void end(system.kill(), 130);
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  process.on('uncaughtException', (error) => {
    say(`a fault of npm start itself: ${error.stack ?? error.message}`);
    void end(system.kill(), 1);
  });

  async function end(ending: Promise<void>, exitCode: number): Promise<void> {
    try {
      await ending;
      process.exit(exitCode);
    } catch (error) {
      say(`stopping failed: ${(error as Error).message}`);
      process.exit(1);
    }
  }
}

function describe(summary: Summary, config: LocalConfig, timeline: LocalSystem['timeline']): string {
  const { master, adminToken, regions, demo } = summary;
  const path = new URL(demo.url).pathname;
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  const steps = timeline.map(({ what, afterMs }) => `${what} ${seconds(afterMs)}`).join(', ');
  return `
Heliograph is ready after ${seconds(timeline.at(-1)?.afterMs ?? 0)} s (${steps})

  master   ${master}   its API: ${master}/docs
${regions.map(({ id, gateway, admin }) => `  ${id}  ${gateway}   its status: ${admin}/status`).join('\n')}
  upstream ${summary.upstream}   of the demo: answers with what it got
  state    ${config.home}   local.json has addresses, admin token and demo key; logs are in logs/

Call the demo API in each region:
${regions.map(({ gateway }) => `  curl -H '${KEY_HEADER}: ${demo.key}' ${gateway}${path}`).join('\n')}
Ask the master what its replicas have:
  curl -H 'Authorization: Bearer ${adminToken}' ${master}/v1/replicas

Ctrl-C stops all of it and keeps the state; npm start -- --fresh begins anew.
`;
}
