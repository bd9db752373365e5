import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { environmentId, regionId, replicaId } from '#model';
import { intSetting, LOG_LEVELS, portSetting, urlSetting } from '#platform';
import { parseRedisUrl } from '#throttle';
import { traceSettings } from './trace-settings.js';
import { limitSettings } from './limit-settings.js';
import { tlsSettings } from './tls-settings.js';

const address = z.string().refine((text) => isIP(text) !== 0, 'must be an IP address, like 0.0.0.0 or 127.0.0.1');
const token = z
  .string()
  .max(200, 'must have at most 200 characters')
  .regex(/^[\x21-\x7e]+$/, 'must be printable characters without spaces');

/** Several URLs with commas between them; each is checked by itself. */
const urlList = (check: z.ZodType<string, string>): z.ZodType<string[]> =>
  z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .pipe(z.array(check).min(1).max(32, 'must be at most 32 URLs'));

/** Another replica's admin port, or a directory that the artifacts were copied to. */
const peerUrl = z
  .string()
  .refine(
    (text) => /^(https?:\/\/[^@?#]+|file:\/\/\/[^?#]*)$/.test(text) && URL.canParse(text),
    'must be a URL like http://host:9180 or file:///directory, without credentials, "?" and "#"',
  )
  .transform((text) => text.replace(/\/+$/, ''));

/** Checked here, and read where it is used: the text may hold a password. */
const redisUrl = z.string().superRefine((text, context) => {
  try {
    parseRedisUrl(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

/** How many of all: none, each, or one of so many. */
const shareSetting = z
  .string()
  .regex(/^(on|off|0?\.\d{1,6})$/, 'must be on, off, or a share like 0.01')
  .transform((text) => (text === 'on' ? 1 : text === 'off' ? 0 : Number(text)));

/** A replica's settings as they are given; what they mean together is in `replica-config.ts`. */
export const settings = z.strictObject({
  HELIO_ENVIRONMENT: z.string('must be given: the environment that this replica serves, like prod').pipe(environmentId),
  HELIO_REGION: z.string('must be given: the region that this replica is in, like eu-west').pipe(regionId),
  HELIO_REPLICA: replicaId.optional(),
  HELIO_STATE_DIR: z.string('must be given: a directory on a local disk for the state of this replica'),
  HELIO_MASTER_URL: urlList(urlSetting).optional(),
  HELIO_PEERS: urlList(peerUrl).optional(),
  HELIO_JOIN_TOKEN: token.optional(),
  ARTIFACT_STORE: z.string().optional(),
  S3_ENDPOINT: urlSetting.optional(),
  S3_ACCESS_KEY: z.string().optional(),
  S3_SECRET_KEY: z.string().optional(),
  S3_REGION: z.string().optional(),
  HELIO_TRUSTED_KEYS: z.string().optional(),
  REDIS_URL: redisUrl.optional(),
  HELIO_WORKERS: intSetting(1, 256).default(availableParallelism()),
  HELIO_UPSTREAM_CERTIFICATES: z.string().min(1, 'must be a directory').optional(),
  HELIO_CACHE_MB: intSetting(0, 65_536).default(64),
  GATEWAY_PORT: portSetting.default(9080),
  ADMIN_PORT: portSetting.default(9180),
  HELIO_BIND: address.default('0.0.0.0'),
  HELIO_ADMIN_BIND: address.optional(),
  HELIO_ACCESS_LOG: shareSetting.default(0),
  ...tlsSettings,
  ...limitSettings,
  ...traceSettings,
  HELIO_POLL_SECONDS: intSetting(1, 3600).default(2),
  HELIO_STREAM_POLL_SECONDS: intSetting(1, 3600).default(60),
  HELIO_LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
});
export type Settings = Readonly<z.infer<typeof settings>>;

/** Names of the master and of `npm start` that may stand in the same environment without being faults. */
export const SETTINGS_OF_OTHERS = [
  'HELIO_SIGNING_KEY',
  'HELIO_BOOTSTRAP_ADMIN_TOKEN',
  'HELIO_DATABASE_POOL',
  'HELIO_ISSUER',
  'HELIO_ISSUER_NETWORKS',
  'HELIO_WEBHOOK_NETWORKS',
  'HELIO_TOKEN_KEY_DAYS',
  'HELIO_TOKEN_KEY_NOTICE_SECONDS',
  'HELIO_HOME',
  'HELIO_PORT_BASE',
];
