import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  describeWith,
  freshDatabase,
  helio,
  helioOnPath,
  type Master,
  startMaster,
  type Terminal,
  terminalOf,
  until,
} from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'heliograph-completion-'));

let master: Master;
let config: string;
let bin: string;

beforeAll(async () => {
  bin = helioOnPath();
  const { url } = await freshDatabase();
  master = await startMaster({ database: url, store: `file://${scratch()}/store` });
  const { client } = master;
  await client.post('/v1/environments', { id: 'prod', position: 1 });
  await client.post('/v1/regions', { id: 'eu-west', environment: 'prod' });
  await client.post('/v1/regions', { id: 'us-east', environment: 'prod' });
  await client.post('/v1/apis', { name: 'museum', version: 'v1' });
  await client.post('/v1/apis', { name: 'museum', version: 'v2' });
  config = scratch();
  await helio(['login', master.url, '--name', 'here'], { config, input: master.adminToken });
});
afterAll(() => master?.stop());

const words = async (...line: string[]): Promise<string[]> => {
  const { stdout } = await helio(['complete', '--', ...line], { config });
  return stdout.split('\n').flatMap((one) => (one === '' ? [] : [one.split('\t')[0] as string]));
};

/** Asked again where nothing came: on a busy machine a master may be later than a person would wait. */
const offered = (...line: string[]): Promise<string[]> =>
  until(
    async () => {
      const found = await words(...line);
      return found.length > 0 && found;
    },
    { what: `something to be offered for ${line.join(' ')}` },
  );

describe('completion', () => {
  it('offers what there is, as arguments and as values of options', async () => {
    expect(await offered('api', 'get', '')).toEqual(['museum:v1', 'museum:v2']);
    expect(await offered('region', 'get', 'eu')).toEqual(['eu-west']);
    expect(await offered('placement', 'get', 'prod', 'museum:v2', '')).toEqual(['eu-west', 'us-east']);
    expect(await offered('region', 'list', '--environment', '')).toEqual(['prod']);
    expect(await offered('promote', 'museum:v1', '--to=p')).toEqual(['--to=prod']);
    expect(await words('--context', '')).toEqual(['here']);
    expect(await words('context', 'use', 'h')).toEqual(['here']);
    expect(await words('plan', 'list', '-o', 'ya')).toEqual(['yaml']);
    expect(await words('plan', 'list', '--output=ya')).toEqual(['--output=yaml']);
  });

  it('asks the master that the line names', async () => {
    const lost = ['--server', 'http://127.0.0.1:9', 'region', 'get', ''];
    expect(await helio(['complete', '--', ...lost], { config })).toMatchObject({ stdout: '' });
    expect(await offered('--context=here', 'region', 'get', 'us')).toEqual(['us-east']);
  });

  it('offers nothing where a master does not answer soon', async () => {
    let asked = 0;
    const silent = createServer(() => (asked += 1));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    try {
      const env = {
        HELIO_SERVER: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
        HELIO_TOKEN: 'hgt_test',
      };
      expect(await helio(['complete', '--', 'api', 'get', ''], { env })).toEqual({ code: 0, stdout: '', stderr: '' });
      expect(asked).toBe(1);
    } finally {
      silent.close();
    }
  });
});

interface Shell {
  file: string;
  args: string[];
  /** lines that make it complete */
  setUp: string;
}

/** Types lines with the tab key in them, and sees what the shell then runs. */
function completes({ file, args, setUp }: Shell): void {
  let shell: Terminal;
  let attempt = 0;
  beforeAll(async () => {
    const home = scratch();
    const env = { HOME: home, XDG_DATA_HOME: home, PATH: `${bin}:${process.env.PATH}`, ENV: '' };
    shell = await terminalOf(file, args, { env, config, cwd: home, columns: 200 });
    shell.type(`${setUp}; echo set''-up\r`);
    await shows('set-up');
  });
  afterAll(() => shell?.kill('SIGKILL'));

  const shows = (expected: string): Promise<unknown> =>
    until(() => Promise.resolve(shell.output().includes(expected)), {
      what: `${file} to show ${expected}; it shows ${shell.output()}`,
    });

  /** Types a line until it does well: see `offered`. */
  async function types(line: string, expected: string): Promise<void> {
    for (;;) {
      attempt += 1;
      shell.type(`${line} && echo did''-${attempt} || echo did''-not-${attempt}\r`);
      const ended = new RegExp(`did-(not-)?${attempt}\r`);
      const [, failed] = await until(() => Promise.resolve(ended.exec(shell.output())), {
        what: `${file} to end ${line}; it shows ${shell.output()}`,
      });
      if (failed === undefined) break;
      expect(attempt, shell.output()).toBeLessThan(10);
    }
    await shows(expected);
  }

  it('completes commands, verbs and options', async () => {
    await types('helio vers\t--cl\t', 'helio  0.1.0');
    expect(shell.output()).not.toContain('master 0.1.0');
  });

  it('completes an id, with a colon in it and behind one', async () => {
    await types('helio api get mus\t2\t -o name', 'museum:v2\r\n');
    await types('helio api get museum:\t1 -o json', '"id": "museum:v1"');
  });
}

describe('in bash', () =>
  completes({ file: 'bash', args: ['--norc', '--noprofile', '-i'], setUp: 'source <(helio completion bash)' }));

describeWith('zsh', 'in zsh', () =>
  completes({
    file: 'zsh',
    args: ['-f', '-i'],
    setUp: 'autoload -Uz compinit && compinit -D -u; source <(helio completion zsh)',
  }),
);

describeWith('fish', 'in fish', () =>
  completes({ file: 'fish', args: ['--no-config', '-i'], setUp: 'helio completion fish | source' }),
);
