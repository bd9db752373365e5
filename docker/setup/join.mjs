// Declares the regions, and gives each one's replicas a token to join with, if not all of them have joined yet.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

const REPLICAS = 2;
const DAY_SECONDS = 86_400;
const regions = process.env.REGIONS.split(',').map((each) => each.split('/')[1]);
process.env.HELIO_TOKEN = readFileSync('/secrets/operator/admin-token', 'utf8');

process.stdout.write(helio('apply', '-f', '/setup/topology.yaml', '--set', 'topology', '--yes'));
for (const region of regions) {
  const settings = `/secrets/${region}/replica.yaml`;
  const joined = JSON.parse(helio('replica', 'list', '--region', region, '-o', 'json'));
  if (existsSync(settings) && joined.length >= REPLICAS) continue;
  const made = helio(
    'join-token',
    'create',
    region,
    '--max-uses',
    `${REPLICAS}`,
    '--expires-in-seconds',
    `${DAY_SECONDS}`,
    '-o',
    'json',
  );
  const regional = readFileSync(`/secrets/${region}/region.yaml`, 'utf8');
  writeFileSync(`${settings}.new`, `${regional}HELIO_JOIN_TOKEN: ${JSON.parse(made).token}\n`, { mode: 0o444 });
  renameSync(`${settings}.new`, settings);
  process.stdout.write(`${region}: a token for ${REPLICAS} replicas, for a day\n`);
}

function helio(...args) {
  const stdio = ['ignore', 'pipe', 'inherit'];
  return execFileSync(process.execPath, ['/app/dist/apps/cli/src/main.js', ...args], { encoding: 'utf8', stdio });
}
