import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

/** What a registry has of a package: npm looks which versions there are, also of those that depend on it. */
function packageAt(path: string): object {
  const name = decodeURIComponent(path.slice(1));
  return { name, 'dist-tags': { latest: '1.0.0' }, versions: { '1.0.0': { name, version: '1.0.0' } } };
}

/** Runs the audit against a registry that answers the question for advisories so. */
async function audit(status: number, advisories: object): Promise<{ code: number | null; told: string }> {
  const registry = createServer((request, response) => {
    request.resume();
    const [code, body] = request.method === 'GET' ? [200, packageAt(request.url ?? '')] : [status, advisories];
    response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(registry, 'listening');
  const { port } = registry.address() as AddressInfo;
  const cache = mkdtempSync(join(tmpdir(), 'helio-audit-')); // npm keeps what it was told of an advisory
  const settings = {
    npm_config_registry: `http://127.0.0.1:${port}`,
    npm_config_fetch_retries: '0',
    npm_config_cache: cache,
  };
  const child = spawn(process.execPath, [join(ROOT, 'scripts/audit.mjs')], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...settings },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [told, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  registry.close();
  rmSync(cache, { recursive: true, force: true });
  return { code: code as number | null, told };
}

const advisory = (severity: string): object => ({
  id: 1,
  url: 'https://github.com/advisories/GHSA-test',
  title: 'A hole',
  severity,
  vulnerable_versions: '>=0.0.0',
});

describe('the audit of dependencies', () => {
  it('names a package with a known hole that is high', async () => {
    const { code, told } = await audit(200, { zod: [advisory('high')] });
    expect([code, told]).toEqual([1, expect.stringContaining('zod')]);
    expect(told).toContain('A hole (https://github.com/advisories/GHSA-test)');
  });

  it('lets a moderate one pass', async () => {
    expect(await audit(200, { zod: [advisory('moderate')] })).toEqual({ code: 0, told: '' });
  });

  it('does not take a registry that fails for one that knows of no hole', async () => {
    expect((await audit(500, {})).code).toBe(1);
    expect(await audit(405, {})).toEqual({ code: 75, told: expect.stringContaining('405') });
  });
});
