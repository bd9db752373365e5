import { hash } from 'node:crypto';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import {
  apiOf,
  applicationId,
  applicationOf,
  contextOf,
  keyText,
  LIMIT,
  PLAN,
  ROUTES,
  SCARCE,
  SCARCE_PLAN,
  type World,
} from './world.js';

const CHUNK = 10_000;

/** The world for nginx + Lua: who holds a key, by the first 16 bytes of its hash, which are raw. */
export async function writeLuaFiles(directory: string, world: World): Promise<void> {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'contexts'), contexts(world).join('\n'));
  writeFileSync(join(directory, 'routes'), routes.map((route) => `GET ${route}`).join('\n'));
  await writeKeys(join(directory, 'keys'), world, (secret, line) =>
    Buffer.concat([hash('sha256', secret, 'buffer').subarray(0, 16), Buffer.from(`${line}\n`)]),
  );
}

/** The world for haproxy: its maps are text, and hex is in capitals there. */
export async function writeMaps(directory: string, world: World): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const map = (names: string[]): string => names.map((name) => `${name} 1\n`).join('');
  writeFileSync(join(directory, 'contexts.map'), map(contexts(world)));
  writeFileSync(join(directory, 'routes.map'), map(routes));
  await writeKeys(join(directory, 'keys.map'), world, (secret, line) =>
    Buffer.from(`${hash('sha256', secret, 'hex').toUpperCase()} ${line}\n`),
  );
}

const routes = Array.from({ length: ROUTES }, (_, i) => `resource-${i}`);
const contexts = ({ apis }: World): string[] => Array.from({ length: apis }, (_, i) => contextOf(i));

/** @param entry of a secret and what is known of it: `api-7/v1|1000000000|gold|<application>` */
async function writeKeys(file: string, world: World, entry: (secret: string, line: string) => Buffer): Promise<void> {
  const out = createWriteStream(file);
  out.write(entry(SCARCE.key, `${contextOf(0)}|${SCARCE.limit}|${SCARCE_PLAN}|${applicationId(SCARCE.application)}`));
  for (let from = 0; from < world.keys; from += CHUNK) {
    const chunk = Array.from({ length: Math.min(CHUNK, world.keys - from) }, (_, i) => {
      const application = applicationOf(world, from + i);
      const line = `${contextOf(apiOf(world, application))}|${LIMIT}|${PLAN}|${applicationId(application)}`;
      return entry(keyText(from + i), line);
    });
    if (!out.write(Buffer.concat(chunk))) await once(out, 'drain');
  }
  out.end();
  await once(out, 'finish');
}
