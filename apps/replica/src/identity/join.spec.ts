import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newSigningKeyPem, signerFromPem } from '#artifacts';
import { freePorts, until } from '#harness';
import { createLog } from '#platform';
import { MasterClient } from '../master/master-client.js';
import { FakeMaster } from '../testing/fake-master.js';
import { temporaryDirectory } from '../testing/state-fixture.js';
import { readIdentity } from './identity.js';
import { joinRegion, type JoinOptions } from './join.js';

const KEY = signerFromPem(newSigningKeyPem()).publicKey;
const ANSWER = {
  replica: 'eu-west-1',
  token: 'hg_replica_1',
  environment: 'prod',
  region: 'eu-west',
  trustedKeys: [KEY],
  store: 'file:///var/store',
};

let master: FakeMaster;
let stateDir: string;
const faults: string[] = [];
const stop = new AbortController();

beforeEach(async () => {
  const [port] = await freePorts(1); // one that is still free when another master is to come back on it
  master = await FakeMaster.start(port);
  stateDir = temporaryDirectory();
  faults.length = 0;
});
afterEach(async () => {
  await master.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

function options(more: Partial<JoinOptions> = {}): JoinOptions {
  return {
    master: new MasterClient([master.url]),
    joinToken: 'hg_join_1',
    environment: 'prod',
    region: 'eu-west',
    replica: null,
    s3: undefined,
    stateDir,
    log: createLog('test', 'silent'),
    onFault: ({ code, detail }) => void faults.push(`${code}: ${detail}`),
    ...more,
  };
}

describe('joinRegion', () => {
  it('sends the join token, and keeps what the master answers, readable by nobody else', async () => {
    master.answers = [{ status: 201, body: { ...ANSWER, more: 'to come' } }];
    const identity = await joinRegion(options({ replica: 'eu-west-1' }), stop.signal);
    expect(master.heard).toEqual([
      {
        path: '/v1/replicas/join',
        authorization: undefined,
        body: {
          token: 'hg_join_1',
          environment: 'prod',
          region: 'eu-west',
          replica: 'eu-west-1',
          build: expect.any(String),
        },
      },
    ]);
    expect(identity).toEqual({
      version: 1,
      environment: 'prod',
      region: 'eu-west',
      replica: 'eu-west-1',
      joined: { token: 'hg_replica_1', trustedKeys: [KEY], store: 'file:///var/store' },
    });
    expect(readIdentity(stateDir)).toEqual(identity);
    expect(statSync(join(stateDir, 'identity.json')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(stateDir, 'identity.json'), 'utf8')).not.toContain('hg_join_1');
  });

  it('asks again while the master is away or busy, and names why', async () => {
    const { url } = master;
    await master.stop();
    const joining = joinRegion(options(), stop.signal);
    await until(() => faults.length > 0, { what: 'the first fault' });
    expect(faults[0]).toBe(`master_unreachable: ${url} cannot be reached: ECONNREFUSED`);
    master = await FakeMaster.start(Number(new URL(url).port));
    master.answers = [
      { status: 503, body: { code: 'database_unavailable', detail: 'later' } },
      { status: 429, body: null },
      { status: 201, body: ANSWER },
    ];
    expect((await joining)?.replica).toBe('eu-west-1');
    expect(faults).toContain(`master_unavailable: ${url}/v1/replicas/join answered 503: database_unavailable: later`);
  });

  it('names a refusal, and stops asking when it is told to', async () => {
    master.answers = [{ status: 401, body: { code: 'join_token_invalid', detail: 'the join token expired' } }];
    const cut = new AbortController();
    const joining = joinRegion(options(), cut.signal);
    await until(() => faults.length > 0, { what: 'the refusal' });
    expect(faults).toEqual([
      `master_refused: ${master.url}/v1/replicas/join answered 401: join_token_invalid: the join token expired`,
    ]);
    cut.abort();
    expect(await joining).toBeNull();
    expect(readIdentity(stateDir)).toBeNull();
  });

  it('keeps nothing of an answer that is not what it asked for, or cannot be used', async () => {
    const wrong: [object, string][] = [
      [{ ...ANSWER, environment: 'staging' }, 'environment is staging and not prod'],
      [{ ...ANSWER, region: 'us-east' }, 'region is us-east and not eu-west'],
      [{ ...ANSWER, trustedKeys: ['AAAA'] }, 'is not an Ed25519 public key'],
      [{ ...ANSWER, trustedKeys: [] }, 'wrong trustedKeys'],
      [{ ...ANSWER, store: 's3://bucket' }, 'needs S3_ENDPOINT'],
      [{ ...ANSWER, replica: '../x' }, 'replica is not an id'],
      [{}, 'wrong replica'],
    ];
    for (const [body, detail] of wrong) {
      faults.length = 0;
      master.answers = [{ status: 201, body }];
      const cut = new AbortController();
      const joining = joinRegion(options(), cut.signal);
      await until(() => faults.length > 0, { what: detail });
      expect(faults[0]).toMatch(/^master_answer_invalid: /);
      expect(faults[0]).toContain(detail);
      cut.abort();
      await joining;
      expect(readIdentity(stateDir)).toBeNull();
    }
  });
});
