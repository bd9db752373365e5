import type { Command } from 'commander';
import type { Cli } from '../cli.js';
import { CliError } from '../exit.js';
import { type Format, outputOption } from '../output/output.js';
import type { Item } from './columns.js';
import { pathWith, preferOf, tellWrite, type Waiting } from './requests.js';
import { readDocument, readInput } from './values.js';
import { addWaiting } from './write-verbs.js';

interface Options extends Waiting {
  definition?: string;
  openapi?: string;
  upstream?: string;
  security?: string;
  plans?: string;
  openPlan?: string;
  output: Format;
}

/** `helio release create`: files are what releases are made of. */
export function addReleaseCreate(command: Command, cli: Cli): void {
  command
    .description('Make a release of a definition, or of an OpenAPI document')
    .argument('<api>', 'like weather:v1')
    .option('--definition <file>', 'a definition in YAML or JSON; - is standard input')
    .option('--openapi <file>', 'an OpenAPI 3.0 or 3.1 document in YAML or JSON; - is standard input')
    .option('--upstream <url>', 'with --openapi: the one upstream target')
    .option('--security <kind>', 'with --openapi: key, jwt, key-or-jwt or open')
    .option('--plans <one,two>', 'with --openapi: what it may be subscribed on')
    .option('--open-plan <plan>', 'with --openapi: by which open routes are limited');
  addWaiting(outputOption(command));
  command.action(async (api: string, options: Options) => {
    const { definition, openapi } = options;
    if ((definition === undefined) === (openapi === undefined))
      throw new CliError('say what it is made of: --definition or --openapi', { exit: 'usage' });
    const { headers, query } = preferOf(options);
    const master = await cli.api();
    const request = { method: 'POST', path: pathWith('/v1/apis/{api}/releases', [api]) } as const;
    const { upstream, security, plans, openPlan } = options;
    const answer =
      openapi === undefined
        ? await master.send({
            ...request,
            headers,
            query,
            body: { definition: await readDocument(cli, definition as string) },
          })
        : await master.send({
            ...request,
            // JSON is YAML, too, as far as documents go
            headers: { ...headers, 'content-type': 'application/openapi+yaml' },
            query: { ...query, upstream, security, plans, openPlan },
            body: await readInput(cli, openapi),
          });
    tellWrite(cli, answer);
    if (answer.status === 200) cli.note('the same release was there already');
    await cli.print(options.output, { item: answer.body as Item, name: (item) => String(item.digest) });
  });
}
