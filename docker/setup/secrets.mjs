// Runs before everything else and makes what nobody may know: once, at the first start, and never in an image, in git or in
// the environment of a container. Each place gets a volume with what it needs, and no more:
//
//   all/        secrets.json: all of them. What the others lack is made from it again
//   postgres/ redis/ minio/   of the masters' data centre: the password of each, MinIO's root
//   master/     settings of the masters, and the key that signs the chain
//   operator/   the access token of the admin
//   grafana/    its password
//   <region>/   Redis of the region, and settings of its replicas: a key that may only read its environment in the store, and
//               a join token later, from join.mjs
//
// Files are readable for all: who mounts a volume may read it, and they run as several users.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

const { SECRETS: root = '/secrets', REGIONS } = process.env;
/** Counters and wake-ups may be lost at any time. Who may connect is said by a password, and not by the address ("protected mode"). */
const redisRest = 'save ""\nappendonly no\nmaxmemory-policy noeviction\nprotected-mode no\n';
const regions = REGIONS.split(',').map((each) => each.split('/')); // prod/eu-west,staging/...
const secret = () => randomBytes(24).toString('base64url');
const user = (name) => ({ accessKey: name, secretKey: secret() });

const kept = `${root}/all/secrets.json`;
const secrets = existsSync(kept) ? JSON.parse(readFileSync(kept, 'utf8')) : { regions: {} };
secrets.postgres ??= secret();
secrets.redis ??= secret();
secrets.grafana ??= secret();
secrets.adminToken ??= secret();
secrets.signingKey ??= generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
secrets.minio ??= { root: user('root'), masters: user('masters') };
for (const [, region] of regions) secrets.regions[region] ??= { redis: secret(), store: user(`replicas-${region}`) };
put('all/secrets.json', JSON.stringify(secrets));

put('postgres/postgres-password', secrets.postgres);
put('redis/redis.conf', `requirepass ${secrets.redis}\n${redisRest}`);
put(
  'minio/minio.env',
  `MINIO_ROOT_USER=${secrets.minio.root.accessKey}\nMINIO_ROOT_PASSWORD=${secrets.minio.root.secretKey}\n`,
);
put('master/signing.pem', secrets.signingKey);
put(
  'master/master.yaml',
  settings({
    DATABASE_URL: `postgres://heliograph:${secrets.postgres}@postgres:5432/heliograph`,
    REDIS_URL: `redis://:${secrets.redis}@redis:6379/0`,
    ...store(secrets.minio.masters),
    HELIO_SIGNING_KEY: '/run/heliograph/signing.pem',
    HELIO_BOOTSTRAP_ADMIN_TOKEN: secrets.adminToken,
  }),
);
put('operator/admin-token', secrets.adminToken);
put('grafana/grafana-password', secrets.grafana);
for (const [environment, region] of regions) {
  const own = secrets.regions[region];
  const rules = '~helio:* +eval +evalsha +time +get +set +hset +hdel +hgetall +pttl +pexpire';
  put(`${region}/redis.conf`, `user default off\nuser helio on >${own.redis} ${rules}\n${redisRest}`);
  put(
    `${region}/region.yaml`,
    settings({
      HELIO_ENVIRONMENT: environment,
      HELIO_REGION: region,
      REDIS_URL: `redis://helio:${own.redis}@redis:6379/0`,
      ...store(own.store),
    }),
  );
}

function store({ accessKey, secretKey }) {
  return { S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey };
}

/** A YAML file for HELIO_CONFIG: JSON texts are YAML. */
function settings(values) {
  return Object.entries(values)
    .map(([name, value]) => `${name}: ${JSON.stringify(value)}\n`)
    .join('');
}

/** Whole or not at all; a file that is as it should be is left alone. */
function put(name, text) {
  const path = `${root}/${name}`;
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  writeFileSync(`${path}.new`, text, { mode: 0o444 });
  renameSync(`${path}.new`, path);
  process.stdout.write(`made ${name}\n`);
}
