import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { type Format, outputOption } from '../output/output.js';
import { type Contexts, readContexts, writeContexts } from './contexts-file.js';

interface Row {
  name: string;
  server: string;
  current: boolean;
}

export const define: Define = (command, cli) => {
  const { configDir } = cli.env;
  outputOption(command.command('list').description('Lists contexts, without tokens')).action(
    async ({ output }: { output: Format }) => {
      await cli.print(output, {
        items: rowsOf(readContexts(configDir)),
        columns: [
          { title: 'NAME', of: ({ name }) => name },
          { title: 'SERVER', of: ({ server }) => server },
          { title: 'CURRENT', of: ({ current }) => (current ? '*' : '') },
        ],
        name: ({ name }) => name,
      });
    },
  );
  command
    .command('use')
    .description('Uses another context from now on')
    .argument('<context>', 'its name')
    .action((name: string) => {
      const all = having(readContexts(configDir), name);
      writeContexts(configDir, { ...all, current: name });
      cli.out(`Context ${name} is in use.`);
    });
  command
    .command('delete')
    .description('Forgets a context and its token, which stays valid: `helio token delete` ends it')
    .argument('<context>', 'its name')
    .action((name: string) => {
      const { current, contexts } = having(readContexts(configDir), name);
      const { [name]: _, ...others } = contexts;
      writeContexts(configDir, { current: current === name ? undefined : current, contexts: others });
      cli.out(`Context ${name} is forgotten.`);
    });
};

function having(contexts: Contexts, name: string): Contexts {
  if (Object.hasOwn(contexts.contexts, name)) return contexts;
  throw new CliError(`there is no context "${name}"`, { exit: 'notFound', next: '`helio context list` shows them.' });
}

function rowsOf({ contexts, current }: Contexts): Row[] {
  return Object.entries(contexts).map(([name, one]) => ({
    name,
    server: 'local' in one ? `npm start, in ${one.local}` : one.server,
    current: name === current,
  }));
}
