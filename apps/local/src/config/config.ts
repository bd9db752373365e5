import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { ConfigError, type FieldFault, intSetting, loadConfig } from '#platform';
import { REGIONS, type Region } from '../topology.js';

const schema = z.strictObject({
  HELIO_HOME: z
    .string()
    .default('.heliograph')
    .transform((path) => resolve(path)),
  HELIO_PORT_BASE: intSetting(1024, 64_000).default(8080),
});

/** What the test suites are told with; nothing of it reaches this system, which has a store of its own. */
const SETTINGS_OF_OTHERS = ['S3_ENDPOINT', 'S3_ACCESS_KEY', 'S3_SECRET_KEY', 'S3_REGION'];

export const HELP = `npm start [-- options]: the whole of Heliograph on this machine

PostgreSQL, an artifact store in a directory, one master, the environments "dev", "staging" and "prod" with five
regions in all, one replica each, and a demo API. Ctrl-C stops all of it. "npm run demo" beside it promotes a release.

  --regions eu-west,us-east
            only these, and only their environments; of ${REGIONS.map(({ id }) => id).join(', ')}
  --fresh   begin anew: removes the state that earlier starts have kept
  --help    this text

Settings are environment variables:
  HELIO_HOME [.heliograph]  where the state is kept
  HELIO_PORT_BASE [8080]    port of the master; gateways are at +1001 to +1005, their admin ports at +1101 to
                            +1105, the echo upstream at +1201, PostgreSQL at +1202
`;

export interface LocalConfig {
  /** absolute path of the directory that holds all state */
  home: string;
  portBase: number;
  /** that are started, at least one */
  regions: readonly Region[];
  /** whether earlier state is removed */
  fresh: boolean;
  help: boolean;
}

type Env = Record<string, string | undefined>;

/** @throws ConfigError that names every fault */
export function localConfig(env: Env, args: readonly string[]): LocalConfig {
  const { faults, ...given } = optionsFrom(args);
  return { ...settingsFrom(env, faults), ...given };
}

/** @param faults that were found already @throws ConfigError that names every fault */
export function settingsFrom(env: Env, faults: FieldFault[]): Pick<LocalConfig, 'home' | 'portBase'> {
  let settings: ReturnType<typeof loadConfig<typeof schema>> | undefined;
  try {
    settings = loadConfig(schema, env, { others: SETTINGS_OF_OTHERS });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    faults.push(...error.faults);
  }
  if (faults.length > 0 || settings === undefined) throw new ConfigError(faults);
  return { home: settings.HELIO_HOME, portBase: settings.HELIO_PORT_BASE };
}

function optionsFrom(
  args: readonly string[],
): Pick<LocalConfig, 'regions' | 'fresh' | 'help'> & { faults: FieldFault[] } {
  const faults: FieldFault[] = [];
  const given = { regions: REGIONS as readonly Region[], fresh: false, help: false, faults };
  const options = { regions: { type: 'string' } } as const;
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    const name = token.kind === 'option' ? token.name : undefined;
    if (token.kind === 'option' && name === 'regions') given.regions = regionsFrom(token.value ?? '', faults);
    else if ((name === 'fresh' || name === 'help') && token.kind === 'option' && token.value === undefined)
      given[name] = true;
    else faults.push({ field: args[token.index] ?? '--', problem: 'is not an option', expected: '--help lists them' });
  }
  return given;
}

function regionsFrom(text: string, faults: FieldFault[]): Region[] {
  const names = text.split(',').map((name) => name.trim());
  const expected = `some of ${REGIONS.map(({ id }) => id).join(',')}`;
  for (const name of names) {
    if (REGIONS.some(({ id }) => id === name)) continue;
    const problem = name === '' ? 'is missing a region' : `there is no region "${name}"`;
    faults.push({ field: '--regions', problem, expected });
  }
  return REGIONS.filter(({ id }) => names.includes(id));
}
