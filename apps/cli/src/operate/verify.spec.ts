import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { deltaName, openStore } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { helio, onTerminal } from '#harness';
import { TABLE } from '#model';

const directory = mkdtempSync(join(tmpdir(), 'heliograph-verify-'));
const other = mkdtempSync(join(tmpdir(), 'heliograph-verify-'));
const url = pathToFileURL(directory).href;
const chain = new ChainMaker('prod');
const key = chain.signer.publicKey;

beforeAll(async () => {
  const store = openStore(url);
  for (let n = 1; n <= 5; n++)
    await chain.publish(store, [{ table: TABLE.plan, key: Buffer.from('gold'), value: Buffer.from(String(n)) }]);
  await chain.putSnapshot(store);
});

describe('helio verify', () => {
  it('proves a directory, by its path or its URL, with keys of the command line or of the environment', async () => {
    const proven = await helio(['verify', directory, '--trusted-keys', key]);
    expect(proven).toMatchObject({ code: 0, stderr: '' });
    expect(proven.stdout).toMatch(/^prod: proven\n {2}head +revision 5, epoch 1, signed .*\n {2}revisions +1 to 5\n/);
    const json = await helio(['verify', url, '-o', 'json'], { env: { HELIO_TRUSTED_KEYS: key } });
    expect(JSON.parse(json.stdout)).toMatchObject([{ environment: 'prod', faultCount: 0, signatures: 'checked' }]);
  });

  it('says that without keys nothing is known of who signed it', async () => {
    const { code, stdout } = await helio(['verify', directory]);
    expect(code).toBe(1);
    expect(stdout).toContain('prod: whole, but no signature was checked: give --trusted-keys\n');
  });

  it('takes keys as a master lists them, in a file or as they are', async () => {
    const items = [{ id: '0', publicKey: new ChainMaker().signer.publicKey }, { publicKey: key }];
    const path = join(other, 'keys.json');
    writeFileSync(path, JSON.stringify({ items }));
    for (const keys of [JSON.stringify(items), JSON.stringify({ items }), pathToFileURL(path).href])
      expect(await helio(['verify', directory, '--trusted-keys', keys])).toMatchObject({ code: 0 });
  });

  it('proves what is there beside a folder that is no environment, and does not wait for a pipe', async () => {
    mkdirSync(join(directory, 'bad name'));
    writeFileSync(join(directory, 'bad name', 'head.json'), '{}');
    expect(await helio(['verify', directory, '--trusted-keys', key])).toMatchObject({ code: 0, stderr: '' });
    mkdirSync(join(other, 'prod'));
    execFileSync('mkfifo', [join(other, 'prod', 'head.json')]);
    expect(await helio(['verify', other])).toMatchObject({ code: 3 });
    expect(await helio(['verify', other, '--environment', 'prod'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('head.json is no file'),
    });
  });

  it('ends with 1, and says what is wrong where and what to do', async () => {
    const path = join(directory, deltaName('prod', 3));
    const right = readFileSync(path);
    writeFileSync(path, Buffer.concat([right, Buffer.from('x')]));
    const { code, stdout } = await helio(['verify', directory, '--trusted-keys', key]);
    writeFileSync(path, right);
    expect(code).toBe(1);
    expect(stdout).toContain('prod: 1 thing is wrong\n');
    expect(stdout).toMatch(/wrong +prod\/delta\/000000000003: truncated: .*\n {2}next +what is there is not what was/);
    const strange = await helio(['verify', directory, '--trusted-keys', new ChainMaker().signer.publicKey]);
    expect([strange.code, strange.stdout]).toEqual([1, expect.stringContaining('/v1/signing-keys')]);
  });

  it('tells what cannot be read from what is wrong', async () => {
    const codeOf = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await helio(['verify', ...args]);
      return `${code} ${stderr.split('\n')[0]}`;
    };
    expect(await codeOf(join(directory, 'none'))).toMatch(/^3 .*has no chain/);
    expect(await codeOf(join(directory, 'none'), '--environment', 'prod')).toMatch(/^5 .*does not exist/);
    expect(await codeOf(directory, '--environment', 'pord')).toMatch(/^3 .*has nothing of an environment "pord"/);
    expect(await codeOf(join(directory, 'prod', 'head.json'))).toMatch(/^2 .*is a file, and not the directory/);
    expect(await codeOf('s3://bucket/chain')).toMatch(/^2 .*which environments/);
    expect(await codeOf('s3://bucket/chain', '--environment', 'prod')).toMatch(/^2 .*needs S3_ENDPOINT/);
    expect(await codeOf(directory, '--trusted-keys', 'abc')).toMatch(/^2 .*entry 1 is not an Ed25519/);
  });

  it('has no colour in a pipe, and some on a terminal', async () => {
    const terminal = await onTerminal(['verify', directory, '--trusted-keys', key]);
    expect(await terminal.ended).toBe(0);
    expect(terminal.output()).toContain('\x1b[32mproven');
  });
});
