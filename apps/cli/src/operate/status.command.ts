import { answered } from '../api/master-api.js';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { watch } from '../output/live.js';
import { type Format, outputOption } from '../output/output.js';
import { render } from '../output/render.js';
import { statusScreen, type SystemStatus } from './status-screen.js';

interface Options {
  output: Format;
  environment?: string;
  watch?: boolean;
}

const WATCH_MS = 2_000;

export const define: Define = (command, cli) => {
  outputOption(command)
    .description('Everything on one screen: environments, who leads, replicas of each region, open promotions')
    .option('--environment <id>', 'only that one')
    .option('--watch', `look again every ${WATCH_MS / 1000} s, until Ctrl-C; a master that is away is waited for`)
    .action(async (options: Options) => {
      const read = async (): Promise<string> => textOf(cli, options.output, await statusOf(cli, options.environment));
      if (!options.watch) return cli.write(await read());
      await watch(cli, WATCH_MS, cli.terminal || options.output !== 'table' ? read : stamped(read));
    });
};

/** In a log each screen that is another one says since when. */
function stamped(read: () => Promise<string>): () => Promise<string> {
  let last = '';
  let shown = '';
  return async () => {
    const screen = await read();
    if (screen !== last) shown = `${new Date().toISOString()}\n${screen}\n`;
    last = screen;
    return shown;
  };
}

async function statusOf(cli: Cli, environment: string | undefined): Promise<SystemStatus> {
  const api = await cli.api();
  return answered(await api.http.GET('/v1/status', { params: { query: { environment } } }));
}

function textOf(cli: Cli, output: Format, status: SystemStatus): string | Promise<string> {
  if (output === 'table' || output === 'wide') return statusScreen(status, cli.style, output === 'wide');
  if (output === 'name')
    return render(output, { items: status.environments, columns: [], name: ({ id }) => id }, cli.style);
  return render(output, { item: status, name: ({ instance }) => instance }, cli.style);
}
