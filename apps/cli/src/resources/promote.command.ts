import type { Command } from 'commander';
import type { components } from '../api/schema.js';
import { answered, type MasterApi } from '../api/master-api.js';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { type Format, outputOption } from '../output/output.js';
import { visible } from '../output/style.js';
import type { Item } from './columns.js';
import { wholeDigest } from './digests.js';
import { tellWrite } from './requests.js';
import { readDocument } from './values.js';

interface Options {
  release?: string;
  to: string;
  waves?: string;
  soak?: string;
  gates?: string;
  set?: string;
  skip?: boolean;
  reason?: string;
  watch?: boolean;
  output: Format;
}

type Strategy = components['schemas']['PromotionStrategy'];

export const define: Define = (command, cli) => addPromote(command, cli);

/** `helio promote`, and `helio promotion create`, which are the same. */
export function addPromote(command: Command, cli: Cli): void {
  outputOption(
    command
      .description('Brings a release of an API, or a set of releases that change together, to the next environment.')
      .argument('[api]', 'like weather:v1')
      .option('--release <digest>', 'its digest, or the beginning; default: what serves in the environment before')
      .option('--set <file>', 'a YAML or JSON file with several: a list of {api, release}')
      .requiredOption('--to <environment>', 'where to')
      .option('--waves <waves>', 'regions by wave: eu-west/us-east,ap-south, * for the rest; default: all at once')
      .option('--soak <seconds>', 'after each wave; or of each, with commas between them')
      .option('--gates <key=value,...>', 'acknowledgedWithin, minRequests, maxErrorShare, p95Factor')
      .option('--skip', 'it need not serve in the environment before: admins, with a reason')
      .option('--reason <text>', 'for the audit log')
      .option('--watch', 'follow it to its end; the exit code says how it ended'),
  ).action(async (api: string | undefined, options: Options) => {
    const master = await cli.api();
    const releases =
      options.set === undefined ? [await releaseOf(master, api, options)] : await setOf(cli, api, options.set);
    if (api !== undefined) await warnWhereItServes(cli, master, api, releases, options.to);
    const answer = await master.send({
      method: 'POST',
      path: '/v1/promotions',
      body: { releases, to: options.to, strategy: strategyOf(options), skip: options.skip, reason: options.reason },
    });
    const promotion = answer.body as Item;
    tellWrite(cli, answer);
    if (!options.watch) return cli.print(options.output, { item: promotion, name: ({ id }) => String(id) });
    cli.note(`promotion ${String(promotion.id)}`);
    const { watchPromotion } = await import('../operate/watch-promotion.js');
    await watchPromotion(cli, String(promotion.id));
  });
}

async function releaseOf(master: MasterApi, api: string | undefined, { release, to }: Options) {
  if (api === undefined) throw new CliError('name an API, or a set of releases by --set', { exit: 'usage' });
  if (release !== undefined) return { api, release: await wholeDigest(master, api, release) };
  return { api, release: await servingBefore(master, api, to) };
}

/** It is promoted all the same: regions may have joined that lack it. */
async function warnWhereItServes(cli: Cli, master: MasterApi, api: string, releases: unknown, to: string) {
  const [{ release }] = releases as [{ release: string }];
  const { items } = answered(
    await master.http.GET('/v1/placements', { params: { query: { environment: to, api, limit: 200 } } }),
  );
  const regions = items.filter((one) => one.release === release).map(({ region }) => region);
  if (regions.length > 0)
    cli.note(`helio: ${release.slice(0, 12)} of ${api} serves in ${to} already: ${visible(regions.join(', '))}`);
}

async function setOf(cli: Cli, api: string | undefined, file: string): Promise<unknown> {
  if (api !== undefined)
    throw new CliError('an API and --set both say what to promote', { exit: 'usage', next: 'Say one.' });
  return readDocument(cli, file); // the master says what is wrong with it
}

/** @throws CliError where more than one serves there, or none */
async function servingBefore(master: MasterApi, api: string, to: string): Promise<string> {
  const environments = answered(await master.http.GET('/v1/environments', { params: { query: { limit: 200 } } })).items;
  const ordered = environments.toSorted((a, b) => a.position - b.position);
  const at = ordered.findIndex(({ id }) => id === to);
  if (at === -1)
    throw new CliError(`there is no environment "${to}"`, { exit: 'notFound', next: '`helio env list` shows them.' });
  const before = ordered[at - 1];
  const next = `Say which one by --release; \`helio release list ${api}\` shows them.`;
  if (!before) throw new CliError(`no environment is before "${to}"`, { exit: 'usage', next });
  const query = { environment: before.id, api, limit: 200 };
  const { items } = answered(await master.http.GET('/v1/placements', { params: { query } }));
  const [release, ...others] = new Set(items.map((one) => one.release));
  if (release === undefined) throw new CliError(`nothing of ${api} serves in ${before.id}`, { exit: 'conflict', next });
  if (others.length > 0)
    throw new CliError(`${others.length + 1} releases of ${api} serve in ${before.id}`, { exit: 'usage', next });
  return release;
}

function strategyOf({ waves, soak, gates }: Options): Partial<Strategy> {
  return {
    ...(waves !== undefined && { waves: waves.split('/').map((wave) => wave.split(',')) }),
    ...(soak !== undefined && { soak: soak.includes(',') ? soak.split(',').map(Number) : Number(soak) }),
    ...(gates !== undefined && { gates: numbersOf(gates) as Strategy['gates'] }),
  };
}

function numbersOf(pairs: string): Record<string, number> {
  return Object.fromEntries(
    pairs.split(',').map((pair) => {
      const [name = '', value = ''] = pair.split('=');
      return [name, value === '' ? Number.NaN : Number(value)];
    }),
  );
}
