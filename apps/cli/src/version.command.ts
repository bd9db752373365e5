import type { Define } from './command.js';
import { CliError } from './exit.js';
import { VERSION } from './version.js';

export const define: Define = (command, cli) => {
  command
    .description('The version of this tool, and of the master of the context in use')
    .option('--client', 'only that of this tool: no master is asked')
    .action(async ({ client }: { client?: boolean }) => {
      cli.out(`helio  ${VERSION}`);
      if (client) return;
      const api = await cli.api();
      const { body } = await api.send({ method: 'GET', path: '/openapi.json' });
      const version = (body as { info?: { version?: unknown } } | undefined)?.info?.version;
      if (typeof version !== 'string') throw new CliError(`${api.server} is no master`, { exit: 'unreachable' });
      cli.out(`master ${version}  ${api.server}`);
      if (version !== VERSION) cli.note('They are not the same: what one of them lacks ends with "unknown" or 404.');
    });
};
