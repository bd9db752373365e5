import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { ConfigError, type FieldFault, intSetting, LOG_LEVELS, loadConfig, portSetting, urlSetting } from '#platform';
import { directoryFault, type Signer, signerFromPem } from '#artifacts';
import { cidr } from '#model';
import { z } from 'zod';

/** CIDR blocks with commas between them. */
const networks = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .pipe(z.array(cidr))
  .default([]);

export const schema = z.strictObject({
  DATABASE_URL: z
    .string('must be given: a PostgreSQL URL like postgres://user:password@host:5432/database')
    .refine(
      (text) => /^postgres(ql)?:\/\/./.test(text) && URL.canParse(text),
      'must be a PostgreSQL URL like postgres://user:password@host:5432/database',
    ),
  ARTIFACT_STORE: z
    .string('must be given: s3://bucket/prefix or file:///directory')
    .regex(/^(s3|file):\/\/./, 'must be s3://bucket/prefix or file:///directory'),
  S3_ENDPOINT: urlSetting.optional(),
  S3_ACCESS_KEY: z.string().optional(),
  S3_SECRET_KEY: z.string().optional(),
  S3_REGION: z.string().optional(),
  HELIO_SIGNING_KEY: z.string(
    'must be given: the path of an Ed25519 private key in PEM; `openssl genpkey -algorithm ed25519` makes one',
  ),
  HELIO_BOOTSTRAP_ADMIN_TOKEN: z
    .string()
    .min(20, 'must have at least 20 characters; `openssl rand -hex 20` makes one')
    .max(200, 'must have at most 200 characters')
    .regex(/^[\x21-\x7e]+$/, 'must be printable characters without spaces')
    .optional(),
  HELIO_ISSUER: z
    .string()
    .refine(isIssuer, {
      error:
        'must be the URL of the masters as clients reach it, like https://master.example.com: https but for localhost, without query, fragment and user',
    })
    .transform((text) => text.replace(/\/+$/, ''))
    .optional(),
  HELIO_TOKEN_KEY_DAYS: intSetting(1, 365).default(30),
  HELIO_TOKEN_KEY_NOTICE_SECONDS: intSetting(60, 86_400).default(600),
  HELIO_ISSUER_NETWORKS: networks,
  HELIO_WEBHOOK_NETWORKS: networks,
  HELIO_BIND: z.string().default('0.0.0.0'),
  PORT: portSetting.default(8080),
  REDIS_URL: z
    .string()
    .refine(
      (text) => /^rediss?:\/\/./.test(text) && URL.canParse(text),
      'must be a URL like redis://user:password@host:6379/0',
    )
    .optional(),
  HELIO_DATABASE_POOL: intSetting(2, 200).default(20),
  HELIO_LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
});

/** RFC 8414, section 2; plain HTTP is for trying it out on one machine. */
function isIssuer(text: string): boolean {
  if (!/^https?:\/\/./.test(text) || text.length > 512 || !URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (/[?#]/.test(text) || username !== '' || password !== '') return false;
  return protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
}

type Settings = Readonly<z.infer<typeof schema>>;

export interface MasterConfig extends Settings {
  signer: Signer;
  /** what this process calls itself towards other masters */
  instance: string;
}

/** Settings of replicas that may stand in the same environment file without being faults. */
const SETTINGS_OF_OTHERS = ['HELIO_HOME', 'HELIO_PORT_BASE'];

/** @throws ConfigError that names every fault */
export function masterConfig(env: Record<string, string | undefined>): MasterConfig {
  let signer: Signer | undefined;
  const settings = loadConfig(schema, env, {
    others: SETTINGS_OF_OTHERS,
    together: (valid) => {
      const key = signerFrom(valid.HELIO_SIGNING_KEY);
      if (key && 'problem' in key) return [...s3Faults(valid), key];
      signer = key;
      return s3Faults(valid);
    },
  });
  if (!signer) throw new Error('a setting without which the check above fails is missing');
  return Object.freeze({ ...settings, signer, instance: `${hostname()}:${process.pid}` });
}

/** The same one, after a look at its directory. @throws ConfigError */
export async function withUsableStore(config: MasterConfig): Promise<MasterConfig> {
  const problem = await directoryFault(config.ARTIFACT_STORE, 'write');
  if (problem)
    throw new ConfigError([{ field: 'ARTIFACT_STORE', problem, expected: 'name a directory that it may use' }]);
  return config;
}

function s3Faults(valid: Partial<Settings>): FieldFault[] {
  if (!valid.ARTIFACT_STORE?.startsWith('s3:')) return [];
  const names = ['S3_ENDPOINT', 'S3_ACCESS_KEY', 'S3_SECRET_KEY'] as const;
  return names
    .filter((field) => !valid[field])
    .map((field) => ({ field, problem: 'must be given with an s3:// store' }));
}

function signerFrom(path: string | undefined): Signer | FieldFault | undefined {
  if (path === undefined) return undefined;
  try {
    return signerFromPem(readFileSync(path, 'utf8'));
  } catch (error) {
    const { message } = error as Error;
    const problem = error instanceof TypeError ? `the file ${path} ${message}` : `cannot be read: ${message}`;
    return { field: 'HELIO_SIGNING_KEY', problem };
  }
}
