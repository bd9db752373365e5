import { Option } from 'commander';
import { type TailFilter, tailFilter } from '#model';
import { answered } from '../api/master-api.js';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { portUrl } from './port-url.js';
import { ApplicationNames } from './tail/application-names.js';
import { followMaster, followReplica } from './tail/follow.js';
import { TailView } from './tail/tail-view.js';

interface Options {
  output: 'line' | 'json';
  api?: string;
  app?: string;
  status?: string;
  admin?: string;
}

export const define: Define = (command, cli) => {
  command
    .description(
      'Show requests of a region, or of a replica, as they are answered: its access log, whether it writes one or not, up to 200 lines a second. On the machine of a replica, --admin shows its own without any master',
    )
    .argument('[where]', 'id of a region, or of a replica')
    .option('--api <api>', 'only of this API, like weather:v1, or weather for all of its versions')
    .option('--app <id>', 'only of this application')
    .option('--status <status>', 'only such answers: 404, 5xx, or 0 for what clients broke off')
    .option('--admin <url>', 'the admin port of the replica on this machine, like http://127.0.0.1:9180')
    .addOption(
      new Option('-o, --output <format>', 'how to show it; JSON has all fields')
        .choices(['line', 'json'])
        .default('line', 'line'),
    )
    .action(async (where: string | undefined, { output, api, app, status, admin }: Options) => {
      if ((where === undefined) === (admin === undefined))
        throw new CliError('say what to look at: a region, a replica, or --admin', {
          exit: 'usage',
          next: '`helio region list` and `helio replica list` name them.',
        });
      const filter = Object.entries({ api, application: app, status }).filter(([, value]) => value !== undefined);
      checkFilter({ api, application: app, status });
      if (admin === undefined) await requireNamed(cli, api, app);
      const names = admin === undefined ? new ApplicationNames(await cli.api()) : null;
      const view = new TailView(cli, output, names);
      const query = new URLSearchParams(filter as [string, string][]);
      await cli.follow((signal) =>
        admin === undefined
          ? followMaster(cli, view, where ?? '', query, signal)
          : followReplica(view, portUrl('--admin', admin), query, signal),
      );
    });
};

const OPTIONS: Record<keyof TailFilter, string> = { api: '--api', application: '--app', status: '--status' };

/** @throws CliError that names the option, and not the field of a request */
function checkFilter(filter: Partial<Record<keyof TailFilter, string>>): void {
  const parsed = tailFilter.safeParse(filter);
  if (parsed.success) return;
  throw new CliError('what is to be shown is not valid', {
    exit: 'usage',
    lines: parsed.error.issues.map(({ path: [name], message }) => `${OPTIONS[name as keyof TailFilter]}: ${message}`),
  });
}

/** Silence would be all that is seen of what is not there. @throws CliError */
async function requireNamed(cli: Cli, api: string | undefined, application: string | undefined): Promise<void> {
  const { http } = await cli.api();
  if (application !== undefined)
    answered(await http.GET('/v1/applications/{application}', { params: { path: { application } } }));
  if (api?.includes(':')) answered(await http.GET('/v1/apis/{api}', { params: { path: { api } } }));
  else if (api !== undefined) await requireVersion(cli, api);
}

async function requireVersion(cli: Cli, name: string): Promise<void> {
  const { http } = await cli.api();
  let cursor: string | undefined;
  do {
    const { items, next } = answered(await http.GET('/v1/apis', { params: { query: { limit: 200, cursor } } }));
    if (items.some(({ id }) => id.startsWith(`${name}:`))) return;
    cursor = next ?? undefined;
  } while (cursor !== undefined);
  throw new CliError(`there is no API "${name}"`, { exit: 'notFound', next: '`helio api list` names them.' });
}
