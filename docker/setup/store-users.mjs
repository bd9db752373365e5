// Gives MinIO a user for the masters, who may do anything in the one bucket, and one for each region, who may only read what is of
// its environment. Over MinIO's admin API, which takes the same again without harm; `mc admin user add` and `mc admin policy attach`
// do the same by hand.
import { createCipheriv, createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

const { STORE_URL, BUCKET, PREFIX, REGIONS, SECRETS = '/secrets' } = process.env;
const { minio, regions } = JSON.parse(readFileSync(`${SECRETS}/all/secrets.json`, 'utf8'));
const bucket = `arn:aws:s3:::${BUCKET}`;

await addPolicy('masters', [may(['s3:*'], [bucket, `${bucket}/*`])]);
await addUser(minio.masters, 'masters');
for (const [environment, region] of REGIONS.split(',').map((each) => each.split('/'))) {
  const policy = `replicas-${environment}`;
  // Who may not list is told by S3 that an object is denied where it is missing. Names are all that a list gives.
  const found = may(['s3:GetBucketLocation', 's3:ListBucket'], [bucket]);
  await addPolicy(policy, [found, may(['s3:GetObject'], [`${bucket}/${PREFIX}/${environment}/*`])]);
  await addUser(regions[region].store, policy);
}

function may(actions, resources) {
  return { Effect: 'Allow', Action: actions, Resource: resources };
}

function addPolicy(name, statements) {
  return ask('add-canned-policy', { name }, JSON.stringify({ Version: '2012-10-17', Statement: statements }));
}

async function addUser({ accessKey, secretKey }, policy) {
  const user = JSON.stringify({ secretKey, status: 'enabled' });
  await ask('add-user', { accessKey }, sealed(user, minio.root.secretKey));
  await ask('set-user-or-group-policy', { policyName: policy, userOrGroup: accessKey, isGroup: 'false' }, '');
  process.stdout.write(`${accessKey} may use ${BUCKET} as: ${policy}\n`);
}

/** A signed request (AWS Signature Version 4), as MinIO's admin API wants it. */
async function ask(operation, parameters, body) {
  const url = new URL(`/minio/admin/v3/${operation}`, STORE_URL);
  const query = new URLSearchParams(Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1))).toString();
  url.search = query;
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const day = time.slice(0, 8);
  const sum = sha256(body);
  const signed = 'host;x-amz-content-sha256;x-amz-date';
  const head = [`host:${url.host}`, `x-amz-content-sha256:${sum}`, `x-amz-date:${time}`].join('\n');
  const canonical = ['PUT', url.pathname, query, `${head}\n`, signed, sum].join('\n');
  const scope = `${day}/us-east-1/s3/aws4_request`;
  const key = [day, 'us-east-1', 's3', 'aws4_request'].reduce(hmac, `AWS4${minio.root.secretKey}`);
  const signature = hmac(key, ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')).toString('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${minio.root.accessKey}/${scope}, SignedHeaders=${signed}, Signature=${signature}`;
  const headers = { authorization, 'x-amz-date': time, 'x-amz-content-sha256': sum };
  const response = await fetch(url, { method: 'PUT', headers, body, signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`MinIO answers ${operation} with ${response.status}: ${await response.text()}`);
}

/**
 * Encrypted for who has the password, as MinIO reads it: salt (32 bytes), the kind (2: PBKDF2 and AES-256-GCM), nonce (8), and one last
 * fragment of a stream. Its nonce ends in the fragment's number, 1; what is signed beside it is 0x80, "the last", and the tag
 * of nothing at number 0.
 */
function sealed(text, password) {
  const salt = randomBytes(32);
  const nonce = randomBytes(8);
  const key = pbkdf2Sync(password, salt, 8192, 32, 'sha256');
  const fragment = (number) =>
    createCipheriv('aes-256-gcm', key, Buffer.concat([nonce, Buffer.from([number, 0, 0, 0])]));
  const start = fragment(0);
  start.final();
  const last = fragment(1).setAAD(Buffer.concat([Buffer.from([0x80]), start.getAuthTag()]));
  const bytes = Buffer.concat([last.update(text), last.final()]);
  return Buffer.concat([salt, Buffer.from([2]), nonce, bytes, last.getAuthTag()]);
}

function sha256(data) {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key, text) {
  return createHmac('sha256', key).update(text).digest();
}
