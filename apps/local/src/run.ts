import type { LocalConfig } from './config/config.js';
import { DEMO_PATH, KEY_HEADER } from './demo/demo-api.js';
import { LocalSystem } from './local-system.js';
import { onSignals } from './signals.js';
import type { Summary } from './summary.js';
import { environmentsOf } from './topology.js';

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
  say(`starting PostgreSQL, a master, and a replica in each of ${config.regions.length} regions ...`);
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
  onSignals(
    () => {
      say('stopping; once more to stop at once');
      void end(
        system.stop().then(() => say(`stopped; the state is kept in ${config.home}`)),
        0,
      );
    },
    () => void end(system.kill(), 130),
  );
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
  const { master, adminToken, demo, upstream } = summary;
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  const steps = timeline.map(({ what, afterMs }) => `${what} ${seconds(afterMs)}`).join(', ');
  const regions = environmentsOf(summary.regions).flatMap((environment) =>
    summary.regions.filter((region) => region.environment === environment),
  );
  const calls = regions.map(({ environment, gateway }) => {
    return `  curl -i -H '${KEY_HEADER}: ${demo.keys[environment]}' ${gateway}${DEMO_PATH}`;
  });
  return `
Heliograph is ready after ${seconds(timeline.at(-1)?.afterMs ?? 0)} s (${steps})

  master    ${master}   its API: ${master}/docs
${regions.map((region) => `  ${region.environment.padEnd(9)} ${region.gateway}   ${region.id}; its status: ${region.admin}/status`).join('\n')}
  upstream  ${upstream}   of the demo: answers with what it got
  state     ${config.home}   local.json has addresses, admin token and demo keys; logs are in logs/

Call the demo API in each region; keys are of one environment:
${calls.join('\n')}
Promote a new release of it, region by region, and watch; then one that fails:
  npm run demo
  npm run demo -- bad
Ask the master what its replicas have:
  curl -H 'Authorization: Bearer ${adminToken}' ${master}/v1/replicas

Ctrl-C stops all of it and keeps the state; npm start -- --fresh begins anew.
`;
}
