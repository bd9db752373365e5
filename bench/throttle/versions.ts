import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

/** What was measured beside this product: `Redis 7.0.15, nginx 1.22.1, rate-limiter-flexible 11.4.0, ioredis 5.11.1`. */
export function versions(): string {
  const require = createRequire(import.meta.url);
  const said = (command: string, ...args: string[]): string => {
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    return /\d+\.\d+\.\d+/.exec(`${stdout}${stderr}`)?.[0] ?? 'of an unknown version';
  };
  const installed = (name: string): string => {
    const { version } = require(`${name}/package.json`) as { version: string };
    return `${name} ${version}`;
  };
  const packages = ['rate-limiter-flexible', 'ioredis', 'undici'].map(installed);
  return [`Redis ${said('redis-server', '-v')}`, `nginx ${said('nginx', '-v')}`, ...packages].join(', ');
}
