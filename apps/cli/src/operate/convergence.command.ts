import { setTimeout as sleep } from 'node:timers/promises';
import { answered } from '../api/master-api.js';
import type { components } from '../api/schema.js';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { LiveText } from '../output/live.js';
import { type Format, outputOption } from '../output/output.js';
import { render, table, textOf } from '../output/render.js';

type Convergence = components['schemas']['Convergence'];

const LOOK_MS = 500;

export const define: Define = (command, cli) => {
  outputOption(command)
    .description('Which replicas have applied a revision, and which have not; ends with 1 while some have not')
    .argument('<revision>', 'like prod@184, or prod for its head')
    .option('--watch', 'until all replicas have applied it')
    .action(async (name: string, { output, watch }: { output: Format; watch?: boolean }) => {
      const { environment, revision } = await revisionOf(cli, name);
      const read = (): Promise<Convergence> => convergenceOf(cli, environment, revision);
      let last = await read();
      if (!watch) {
        cli.write(await textOfConvergence(cli, output, last));
      } else {
        const live = new LiveText(cli);
        await cli
          .follow(async (signal) => {
            for (; ; last = await read()) {
              live.show(await textOfConvergence(cli, output, last));
              if (last.complete) return;
              await sleep(LOOK_MS, undefined, { signal });
            }
          })
          .finally(() => live.end());
      }
      if (!last.complete) cli.exit = 'failed';
    });
};

async function revisionOf(cli: Cli, name: string): Promise<{ environment: string; revision: number }> {
  const [, environment, number] = /^([a-z][a-z0-9-]*)(?:@([1-9]\d{0,14}))?$/.exec(name) ?? [];
  if (environment === undefined)
    throw new CliError(`"${name}" is no revision`, {
      exit: 'usage',
      next: 'Say one like prod@184, or prod for its head.',
    });
  if (number !== undefined) return { environment, revision: Number(number) };
  const api = await cli.api();
  const params = { path: { environment } };
  const { revision } = answered(await api.http.GET('/v1/environments/{environment}/head', { params }));
  return { environment, revision };
}

async function convergenceOf(cli: Cli, environment: string, revision: number): Promise<Convergence> {
  const api = await cli.api();
  const params = { path: { environment, revision: String(revision) } };
  return answered(await api.http.GET('/v1/environments/{environment}/revisions/{revision}/convergence', { params }));
}

function textOfConvergence(cli: Cli, output: Format, found: Convergence): string | Promise<string> {
  const { environment, revision, complete, replicas, regions, missing, roots } = found;
  const name = `${environment}@${revision}`;
  if (output !== 'table' && output !== 'wide') return render(output, { item: found, name: () => name }, cli.style);
  const { style } = cli;
  const verdict = complete ? style.green('everywhere') : style.yellow('not everywhere');
  const regionRows = Object.entries(regions).map(([region, { applied, total }]) => [region, `${applied} of ${total}`]);
  const late = missing.map((one) => [
    one.replica,
    one.region,
    textOf(one.revision),
    textOf(one.behind),
    textOf(one.state),
    one.otherChain
      ? style.red('another chain')
      : one.silent
        ? style.red('silent')
        : one.connected
          ? 'connected'
          : 'not connected',
  ]);
  const wrong = roots.different.map(
    ({ replica }) => `${style.red('!')} ${replica}: its state is not that of its revision\n`,
  );
  return [
    `${style.bold(name)} is ${verdict}: ${replicas.applied} of ${replicas.total} replicas\n\n`,
    table([style.bold('REGION'), style.bold('APPLIED')], regionRows),
    ...(late.length > 0
      ? ['\n', table(['REPLICA', 'REGION', 'REVISION', 'BEHIND', 'STATE', 'WHY'].map(style.bold), late)]
      : []),
    ...wrong,
  ].join('');
}
