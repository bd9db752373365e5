import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { helio, helioOnPath, onTerminal, until } from '#harness';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from './commands.js';
import { VERSION } from './version.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

describe('helio', () => {
  let bin: string;
  const closing: (() => unknown)[] = [];
  afterEach(() => closing.splice(0).map((close) => close()));

  beforeAll(() => {
    bin = helioOnPath();
  });

  /** A master that answers as it is told, and remembers what it was asked. */
  async function master(...answers: ((request: IncomingMessage, response: ServerResponse) => void)[]) {
    const seen: { method?: string; url?: string; key?: string }[] = [];
    const server = createServer((request, response) => {
      seen.push({ method: request.method, url: request.url, key: request.headers['idempotency-key'] as string });
      request.resume().on('end', () => answers[Math.min(seen.length, answers.length) - 1]?.(request, response));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => server.close());
    const env = { HELIO_SERVER: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, HELIO_TOKEN: 'hgt_test' };
    return { seen, env };
  }
  const json = (status: number, body: object) => (_: IncomingMessage, response: ServerResponse) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const breakOff = (request: IncomingMessage): void => void request.socket.destroy();

  it('has the version of the package', () => {
    const { version, bin: bins } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(VERSION).toBe(version);
    expect(bins.helio).toBe('dist/apps/cli/src/main.js');
  });

  it('lists all of its commands, and says what was probably meant', async () => {
    const help = await helio(['--help']);
    expect(help.code).toBe(0);
    for (const { name } of COMMANDS) expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    expect(await helio(['plam', 'list'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Did you mean plan?'),
    });
    expect(await helio(['plan', 'lst'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Did you mean list?'),
    });
  });

  it('says what to do next where the command line is not right', async () => {
    const next = async (line: string) => (await helio(line.split(' '))).stderr.split('\n').slice(0, -1);
    expect(await next('plan lst')).toEqual([
      "helio: unknown command 'lst'",
      '(Did you mean list?)',
      'next: `helio plan --help` shows what it takes.',
    ]);
    expect(await next('promote museum:v1')).toEqual([
      "helio: required option '--to <environment>' not specified",
      'next: `helio promote --help` shows what it takes.',
    ]);
    expect(await next('plan list --limit none')).toEqual([
      'helio: --limit: "none" is no whole number from 1',
      'next: `helio plan list --help` shows what it takes.',
    ]);
    expect((await helio(['help', 'plan', 'list'])).stdout).toBe((await helio(['plan', 'list', '--help'])).stdout);
  });

  it('sends a POST again with the same Idempotency-Key', async () => {
    const plan = { id: 'gold', rate: null, quota: null };
    const { seen, env } = await master(breakOff, json(503, {}), json(201, plan));
    const made = await helio(['plan', 'create', 'gold', '-o', 'json'], { env });
    expect(JSON.parse(made.stdout)).toEqual(plan);
    expect(seen.map(({ key }) => key)).toEqual([seen[0]?.key, seen[0]?.key, seen[0]?.key]);
    expect(seen[0]?.key).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('sends a DELETE once, and says that its fate is unknown', async () => {
    const { seen, env } = await master(breakOff, json(204, {}));
    const lost = await helio(['plan', 'delete', 'gold', '--yes'], { env });
    expect(lost.code).toBe(5);
    expect(lost.stderr).toContain('whether DELETE /v1/plans/gold was carried out is not known');
    expect(seen).toHaveLength(1);
  });

  it('takes no page of something else for an answer of a master', async () => {
    const { env } = await master((_, response) => response.writeHead(404).end('<html>\u001b[2Jnot here</html>'));
    const lost = await helio(['plan', 'get', 'gold'], { env });
    expect(lost.code).toBe(5);
    expect(lost.stderr).toMatch(/answered 404, and not as a master does\nnext: Check that .*\(HELIO_SERVER\)/);
  });

  it.each([
    ['a page', { 'content-type': 'text/html' }, '<html>Log in to the network</html>'],
    ['null', { 'content-type': 'application/json' }, 'null'],
    ['an object of something else', { 'content-type': 'application/json' }, '{"ok":true}'],
    ['half of an answer', { 'content-type': 'application/json' }, '{"items":['],
    ['nothing', { 'content-type': 'application/json' }, ''],
    ['what breaks off', { 'content-type': 'application/json', 'content-length': '99' }, '{"items":[]'],
  ])(
    'takes %s with status 200 for no answer of a master, of reads and of writes',
    async (_, headers, body) => {
      const { env } = await master((request, response) => {
        response.writeHead(200, headers).write(body, () => {
          if ('content-length' in headers) request.socket.destroy();
          else response.end();
        });
      });
      const login = ['login', env.HELIO_SERVER];
      for (const words of [['plan', 'list'], ['plan', 'get', 'gold'], ['status'], ['export'], login]) {
        const { code, stdout, stderr } = await helio(words, { env });
        expect({ words, code, stdout }).toEqual({ words, code: 5, stdout: '' });
        expect(stderr).toMatch(/answered 200, and not as a master does\nnext: |does not answer: |broke off/);
      }
      for (const words of ['plan delete gold --yes', 'plan create gold', 'apply -f -']) {
        const input = 'kind: plan\nid: gold\n';
        const { code, stdout, stderr } = await helio(words.split(' '), { env, input });
        expect({ words, code, stdout }).toEqual({ words, code: 5, stdout: '' });
        expect(stderr).toMatch(/(POST|DELETE) \/v1\/\S+ was carried out is not known/);
      }
    },
    60_000,
  );

  it('does not show a token that cannot be one', async () => {
    const { seen, env } = await master(json(200, { items: [], next: null }));
    for (const HELIO_TOKEN of ['hgt_secret\nhgt_other', 'hgt_secr\u00e9t']) {
      const refused = await helio(['plan', 'list'], { env: { ...env, HELIO_TOKEN } });
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/^helio: HELIO_TOKEN: .*\nnext: /) });
      expect(refused.stderr).not.toContain('hgt_');
    }
    expect(seen).toEqual([]);
  });

  it('takes no gateway for a master', async () => {
    const problem = { type: 'x', title: 'No API is served under this path', code: 'no_such_api', detail: 'in eu-west' };
    const { env } = await master(json(404, { ...problem, status: 404 }));
    const lost = await helio(['status'], { env });
    expect(lost).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/answered 404, and not as a master does\nnext: /),
    });
  });

  it('goes on watching while a master is away', async () => {
    const { env } = await master(
      json(200, { items: [{ id: 'gold' }], next: null }),
      json(503, { title: 'It cannot be done now', code: 'unavailable', detail: 'in a moment', status: 503 }),
    );
    const terminal = await onTerminal(['plan', 'list', '--watch'], { env });
    await terminal.answer(/gold[^]*gold[^]*!.*It cannot be done now/, '\u0003');
    expect(await terminal.ended).toBe(0);
  });

  it('stops watching on Ctrl-C also while a master says nothing', async () => {
    const { seen, env } = await master(json(200, { items: [{ id: 'gold' }], next: null }), () => {});
    const terminal = await onTerminal(['plan', 'list', '--watch'], { env });
    await until(() => Promise.resolve(seen.length === 2), { what: 'a second request' });
    terminal.type('\u0003');
    expect(await terminal.ended).toBe(0);
  });

  it('follows no redirect, which would make a read of a write', async () => {
    const { seen, env } = await master((_, response) => response.writeHead(301, { location: '/v1/plans' }).end());
    const moved = await helio(['plan', 'create', 'gold'], { env });
    expect(moved).toMatchObject({ code: 1, stderr: expect.stringContaining('answered 301, and not as a master does') });
    expect(seen).toHaveLength(1);
  });

  it('passes nothing to a terminal that it would obey', async () => {
    const items = [{ id: 'a\u001b[31m\u202eb', name: 'x\ny', owner: '\u0007\u009b', status: 'active' }];
    const { env } = await master(json(200, { items, next: null }));
    const { stdout } = await helio(['app', 'list'], { env });
    expect(stdout).toContain('a\ufffd[31m\ufffdb');
    for (const control of ['\u0007', '\u001b', '\u202e']) expect(stdout).not.toContain(control);
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
    const asJson = await helio(['app', 'list', '-o', 'json'], { env });
    for (const control of ['\u009b', '\u202e']) expect(asJson.stdout).not.toContain(control);
    expect(JSON.parse(asJson.stdout)).toEqual(items);
  });

  it('says that its output cannot be written', async () => {
    const { env } = await master(json(200, { items: [{ id: 'gold' }], next: null }));
    const script = 'helio plan list > /dev/full; echo "ended with $?"';
    const { stdout, stderr } = await run('bash', ['-c', script], {
      env: { ...env, PATH: `${bin}:${process.env.PATH}` },
    });
    expect(stdout).toBe('ended with 1\n');
    expect(stderr).toMatch(/^helio: the output cannot be written: .*ENOSPC.*\n$/m);
    expect(stderr).not.toContain('Error:');
  });

  it('says nothing when nobody reads any more', async () => {
    const items = Array.from({ length: 200 }, (_, at) => ({ id: `plan-${at}`.padEnd(2_000, 'x') }));
    const { env } = await master(json(200, { items, next: 'more' }));
    const script = 'set -o pipefail; helio plan list --limit 2000 -o name | head -n 1 | cut -c1-6';
    const ended = await run('bash', ['-c', script], { env: { ...env, PATH: `${bin}:${process.env.PATH}` } });
    expect(ended).toEqual({ stdout: 'plan-0\n', stderr: expect.not.stringContaining('helio:') });
  });

  it('completes commands, verbs and values in bash', async () => {
    const script = `
      source <(helio completion bash)
      try() { COMP_WORDS=("$@"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _helio; echo "\${COMPREPLY[*]}"; }
      try helio pla
      try helio plan li
      try helio plan list -o js
      try helio plan list --wa
      try helio --context prod key rotate app --ex
      touch was-here; try helio plan '$(rm was-here)'; ls was-here`;
    const env = { PATH: `${bin}:${process.env.PATH}`, HOME: bin };
    const { stdout } = await run('bash', ['--norc', '-c', script], { env, cwd: bin });
    const [commands, verbs, values, options, beyond, nothing, file] = stdout.split('\n');
    expect([commands, verbs, values, options, beyond]).toEqual([
      'placement plan',
      'list',
      'json',
      '--watch',
      '--expires-at',
    ]);
    expect([nothing, file]).toEqual(['', 'was-here']); // words are evaluated by nobody
  });
});
