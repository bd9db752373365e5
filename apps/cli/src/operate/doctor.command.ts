import { resolve } from 'node:path';
import { answered, type MasterApi } from '../api/master-api.js';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { type Format, outputOption } from '../output/output.js';
import { visible } from '../output/style.js';
import { examineMachine, type KeptIdentity } from './doctor/examine-machine.js';
import { examineMaster, examineNode, examineStore } from './doctor/examine.js';
import { fault, type Finding, warning } from './doctor/finding.js';
import { looksAtFleet } from './doctor/fleet-looks.js';
import { looksAtWork } from './doctor/work-looks.js';
import { portUrl } from './port-url.js';
import { environmentsOf, storeFor, trustedKeysFor } from './store-option.js';

/** of a list: the first ones tell what is wrong */
const MOST = 200;

interface Options {
  output: Format;
  master?: string;
  store?: string;
  environment: string[];
  trustedKeys?: string;
  replica?: string;
  stateDir?: string;
}

export const define: Define = (command, cli) => {
  outputOption(command)
    .description(
      'Look at a master, a store or a replica, and explain what is wrong, why it matters and what to do. A replica needs nobody else for that: run it on its machine with --replica and --state-dir. Without options it looks at the master of the context, and at all replicas that it knows, at webhooks that take nothing, jobs that have failed and promotions that wait',
    )
    .option('--master <url>', 'a master, by what everybody may ask of it: no token is needed')
    .option('--store <store>', 'file:///directory, s3://bucket/prefix (with the S3_* of the environment), or a path')
    .option(
      '--environment <id>',
      'of the store; several times for several',
      (id: string, all: string[]) => [...all, id],
      [],
    )
    .option(
      '--trusted-keys <keys>',
      'of the store: in base64 with commas between them, or file:///path; default: HELIO_TRUSTED_KEYS',
    )
    .option('--replica <url>', 'the admin port of a replica, like http://127.0.0.1:9180')
    .option('--state-dir <directory>', 'the HELIO_STATE_DIR of a replica on this machine; its store is looked at, too')
    .action(async (options: Options) => {
      const findings = await examine(cli, options);
      await tell(cli, options.output, findings);
      if (findings.some(({ level }) => level === 'fault')) cli.exit = 'failed';
    });
};

async function examine(cli: Cli, options: Options): Promise<Finding[]> {
  const { master, store, replica, stateDir } = options;
  if ([master, store, replica, stateDir].every((one) => one === undefined)) return examineContext(cli);
  const machine = stateDir === undefined ? null : examineMachine(resolve(stateDir));
  const given = trustedKeysFor(options.trustedKeys, cli.env);
  return [
    ...(master === undefined ? [] : await examineMaster(portUrl('--master', master))),
    ...(replica === undefined ? [] : await examineNode(portUrl('--replica', replica))),
    ...(machine?.findings ?? []),
    ...(store === undefined ? [] : await looksOf(cli, store, environmentsOf(store, options.environment), given)),
    ...(store === undefined && machine?.identity ? await storeOf(cli, machine.identity, given) : []),
  ];
}

/** The master that this user works with, and the fleet as it sees it. */
async function examineContext(cli: Cli): Promise<Finding[]> {
  const api = await cli.api();
  const findings = await examineMaster(api.server);
  if (findings.some(({ check, level }) => check === 'reachable' && level === 'fault')) return findings;
  // what was found is told whatever cannot be asked: a token that is refused is a finding as well
  const subject = `master ${api.server}`;
  const fleet = await found(subject, 'fleet', async () => {
    const status = answered(await api.http.GET('/v1/status', { params: { query: {} } }));
    const open = status.environments.flatMap(({ promotions }) => promotions.map(({ id }) => id));
    return [...looksAtFleet(status), ...(await found(subject, 'promotions', () => promotionsOf(api, open)))];
  });
  const [webhooks, jobs] = await Promise.all([
    found(subject, 'webhooks', async () => {
      const { items } = answered(await api.http.GET('/v1/webhooks', { params: { query: { limit: MOST } } }));
      return looksAtWork({ webhooks: items, jobs: [], promotions: [] }, Date.now());
    }),
    found(subject, 'jobs', async () => {
      const query = { state: 'failed', limit: MOST } as const;
      const { items } = answered(await api.http.GET('/v1/jobs', { params: { query } }));
      return looksAtWork({ webhooks: [], jobs: items, promotions: [] }, Date.now());
    }),
  ]);
  return [...findings, ...fleet, ...webhooks, ...jobs];
}

async function promotionsOf(api: MasterApi, ids: readonly string[]): Promise<Finding[]> {
  const promotions = await Promise.all(
    ids.map(async (promotion) =>
      answered(await api.http.GET('/v1/promotions/{promotion}', { params: { path: { promotion } } })),
    ),
  );
  return looksAtWork({ webhooks: [], jobs: [], promotions }, Date.now());
}

/** What the master does not answer is a finding, and does not hide the others. */
async function found(subject: string, check: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const next = error.next ?? 'See the log of the master.';
    // a viewer may not see everything, which is nobody's fault
    const level = check !== 'fleet' && error.exit === 'refused' ? warning : fault;
    return [
      { subject, ...level(check, `cannot be looked at: ${error.message}`, 'What is wrong there is not seen.', next) },
    ];
  }
}

/** What the replica follows when it has no stream. Its credentials are settings of it, which may not be in this environment. */
async function storeOf(cli: Cli, { environment, joined }: KeptIdentity, given: string[] | null): Promise<Finding[]> {
  if (!joined) return [];
  if (joined.store.startsWith('s3:') && !cli.env.all.S3_ACCESS_KEY) {
    cli.note(
      `${joined.store} was not looked at: S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY are not in the environment`,
    );
    return [];
  }
  return looksOf(cli, joined.store, [environment], given ?? joined.trustedKeys, { asOfJoin: given === null });
}

async function looksOf(
  cli: Cli,
  named: string,
  environments: readonly string[],
  keys: string[] | null,
  of: { asOfJoin?: boolean } = {},
): Promise<Finding[]> {
  const store = storeFor(named, cli.env);
  try {
    return await examineStore(store, environments, keys, of);
  } finally {
    await store.close();
  }
}

async function tell(cli: Cli, format: Format, findings: readonly Finding[]): Promise<void> {
  if (format !== 'table' && format !== 'wide') {
    const name = ({ subject, check }: Finding): string => `${subject} ${check}`;
    return cli.print(format, { items: findings, columns: [], name });
  }
  const { style } = cli;
  const marks = { ok: style.green('ok     '), warning: style.yellow('warning'), fault: style.red('FAULT  ') };
  let last = '';
  for (const { subject, check, level, found, matters, next } of findings) {
    if (subject !== last) cli.out(style.bold(visible(subject)));
    last = subject;
    cli.out(`  ${marks[level]}  ${visible(`${check}: ${found}`)}`);
    if (matters !== undefined) cli.out(`           why   ${visible(matters)}`);
    if (next !== undefined) cli.out(`           next  ${visible(next)}`);
  }
}
