import { resolve } from 'node:path';
import { z } from 'zod';
import { ConfigError, type FieldFault, intSetting, loadConfig } from '#platform';

const schema = z.strictObject({
  HELIO_HOME: z
    .string()
    .default('.heliograph')
    .transform((path) => resolve(path)),
  HELIO_PORT_BASE: intSetting(1024, 64_000).default(8080),
});

/** What the test suites are told with; nothing of it reaches this system, which has a store of its own. */
const SETTINGS_OF_OTHERS = ['S3_ENDPOINT', 'S3_ACCESS_KEY', 'S3_SECRET_KEY', 'S3_REGION'];

const OPTIONS = ['--fresh', '--help'];

export const HELP = `npm start [-- options]: the whole of Heliograph on this machine

PostgreSQL, an artifact store in a directory, one master, the environment "prod" with the regions "eu-west" and
"us-east", one replica each, and a demo API. Ctrl-C stops all of it.

  --fresh   begin anew: removes the state that earlier starts have kept
  --help    this text

Settings are environment variables:
  HELIO_HOME [.heliograph]  where the state is kept
  HELIO_PORT_BASE [8080]    port of the master; gateways are at +1001 and +1002, their admin ports at +1101 and
                            +1102, the echo upstream at +1201, PostgreSQL at +1202
`;

export interface LocalConfig {
  /** absolute path of the directory that holds all state */
  home: string;
  portBase: number;
  /** whether earlier state is removed */
  fresh: boolean;
  help: boolean;
}

/** @throws ConfigError that names every fault */
export function localConfig(env: Record<string, string | undefined>, args: readonly string[]): LocalConfig {
  const unknown = args.filter((arg) => !OPTIONS.includes(arg));
  const faults: FieldFault[] = unknown.map((arg) => ({
    field: arg,
    problem: 'is not an option',
    expected: '--help lists them',
  }));
  let settings: ReturnType<typeof loadConfig<typeof schema>> | undefined;
  try {
    settings = loadConfig(schema, env, { others: SETTINGS_OF_OTHERS });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    faults.push(...error.faults);
  }
  if (faults.length > 0 || settings === undefined) throw new ConfigError(faults);
  const given = { fresh: args.includes('--fresh'), help: args.includes('--help') };
  return { home: settings.HELIO_HOME, portBase: settings.HELIO_PORT_BASE, ...given };
}
