import { answered, type MasterApi } from '../api/master-api.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { type Format, outputOption } from '../output/output.js';
import type { Item } from './columns.js';
import { wholeDigest } from './digests.js';
import { tellWrite } from './requests.js';

const MOST_NAMED = 10;

interface Options {
  release?: string;
  in: string;
  regions?: string;
  reason: string;
  watch?: boolean;
  yes?: boolean;
  output: Format;
}

export const define: Define = (command, cli) => {
  outputOption(
    command
      .description(
        'Goes back to an earlier release of an API in any regions, at once: no approval, no waves, no soak. To undo a promotion as it was: helio promotion rollback.',
      )
      .argument('<api>', 'like weather:v1')
      .option('--release <digest>', 'one that has served there: its digest, or the beginning')
      .requiredOption('--in <environment>', 'where')
      .requiredOption('--reason <text>', 'for the audit log')
      .option('--regions <one,two>', 'only there; default: all of the environment')
      .option('--yes', 'do not ask')
      .option('--watch', 'follow it to its end'),
  ).action(async (api: string, options: Options) => {
    const { in: environment, regions, reason } = options;
    const master = await cli.api();
    const release = await wholeDigest(master, api, options.release ?? (await whatCouldBe(master, api, environment)));
    const where = regions ?? `all of ${environment}`;
    await cli.confirm(`Go back to ${release.slice(0, 12)} of ${api} in ${where}?`, options.yes);
    const answer = await master.send({
      method: 'POST',
      path: '/v1/rollbacks',
      body: { environment, releases: [{ api, release }], regions: regions?.split(','), reason },
    });
    const promotion = answer.body as Item;
    tellWrite(cli, answer);
    if (!options.watch) return cli.print(options.output, { item: promotion, name: ({ id }) => String(id) });
    const { watchPromotion } = await import('../operate/watch-promotion.js');
    await watchPromotion(cli, String(promotion.id));
  });
};

/** Nobody but who goes back knows how far. @throws CliError with the releases that there are, the newest first */
async function whatCouldBe(master: MasterApi, api: string, environment: string): Promise<never> {
  const query = { environment, api, limit: 200 };
  const [releases, placements] = await Promise.all([
    master.http.GET('/v1/apis/{api}/releases', { params: { path: { api }, query: { limit: MOST_NAMED } } }),
    master.http.GET('/v1/placements', { params: { query } }),
  ]);
  const serving = new Set(answered(placements).items.map(({ release }) => release));
  throw new CliError('say which release by --release', {
    exit: 'usage',
    lines: answered(releases).items.map(
      ({ digest, createdAt }) =>
        `${digest.slice(0, 12)}  of ${createdAt}${serving.has(digest) ? `, serves in ${environment}` : ''}`,
    ),
    next: `\`helio release list ${api}\` shows more of them.`,
  });
}
