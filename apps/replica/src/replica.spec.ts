import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { openStore } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { freePorts, pauseProcess, readExposition, type Replica, startApp, startReplica, until } from '#harness';
import { newKeySecret, replicaStatus, type ReplicaStatus } from '#model';
import { writeIdentity } from './identity/identity.js';
import { FakeMaster } from './testing/fake-master.js';
import { applicationOp, keyOp, placementOp, planOp, releaseOp, sampleDefinition } from './testing/sample-ops.js';
import { ScriptedMaster } from './testing/scripted-master.js';
import { temporaryDirectory } from './testing/state-fixture.js';
import { VERSION } from './version.js';

const SECRET = newKeySecret();
/** answered by the gateway itself: nothing here is about upstreams */
const release = releaseOp({ ...sampleDefinition(), policies: { mock: { status: 200, body: 'served' } } });

class Scene {
  readonly storeDirectory = temporaryDirectory();
  readonly stateDir = temporaryDirectory();
  readonly store = openStore(pathToFileURL(this.storeDirectory).href, { create: true });
  readonly chain = new ChainMaker();
  readonly env = { ARTIFACT_STORE: this.store.description, HELIO_TRUSTED_KEYS: this.chain.signer.publicKey };
  replica: Replica | null = null;

  async start(env: Record<string, string> = this.env, waitUntil: 'ready' | 'listening' = 'ready'): Promise<Replica> {
    this.replica = await startReplica({
      environment: 'prod',
      region: 'eu-west',
      stateDir: this.stateDir,
      env,
      until: waitUntil,
    });
    return this.replica;
  }

  publishFirst(): Promise<unknown> {
    return this.chain.publish(this.store, [
      release,
      placementOp('weather:v1', '*', release),
      planOp('gold'),
      applicationOp(),
      keyOp(SECRET),
    ]);
  }

  async call(): Promise<string> {
    const response = await fetch(`${this.replica?.gateway}/weather/v1/today`, { headers: { 'x-api-key': SECRET } });
    const text = await response.text();
    return response.ok ? text : (JSON.parse(text) as { code: string }).code;
  }

  async status(): Promise<ReplicaStatus & { workers: { pid: number; revision: number }[] }> {
    const body = await (await fetch(`${this.replica?.admin}/status`)).json();
    replicaStatus.parse(body);
    return body as ReplicaStatus & { workers: { pid: number; revision: number }[] };
  }

  async end(): Promise<void> {
    await this.replica?.stop();
    for (const directory of [this.storeDirectory, this.stateDir]) rmSync(directory, { recursive: true, force: true });
  }
}

let scene: Scene | null = null;
afterEach(async () => {
  await scene?.end();
  scene = null;
});
const newScene = (): Scene => (scene = new Scene());

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** What a start says that fails, and how it ends. */
async function failedStart(env: Record<string, string>, args: string[] = []): Promise<{ how: string; output: string }> {
  const app = await startApp({ app: 'replica', args, env });
  const how = await app.exited;
  return { how, output: app.output() };
}

describe('a replica', () => {
  it('follows the store: what is published is served, a revoked key is refused, and still after a restart', async () => {
    const s = newScene();
    await s.publishFirst();
    await s.start();
    expect(await s.call()).toBe('served');
    await s.chain.publish(s.store, [keyOp(SECRET, true)]);
    await until(async () => (await s.call()) === 'credential_revoked', { what: 'the key to be refused' });
    await s.replica?.stop();
    s.replica = (await s.replica?.again()) ?? null;
    expect(await s.call()).toBe('credential_revoked');
    expect(await s.status()).toMatchObject({
      environment: 'prod',
      region: 'eu-west',
      revision: 2,
      epoch: 1,
      nacks: [],
    });
  });

  it('R7 with the store gone it serves, restarts and serves, and catches up by itself when the store is back', async () => {
    const s = newScene();
    await s.publishFirst();
    await s.start();
    renameSync(s.storeDirectory, `${s.storeDirectory}.away`);
    s.replica?.kill('SIGKILL');
    await s.replica?.exited;
    s.replica = (await s.replica?.again()) ?? null;
    expect(await s.call()).toBe('served');
    await until(async () => (await s.status()).lastError?.code === 'store_unreachable', {
      what: 'the status to name the store',
    });
    expect((await s.status()).state).toBe('isolated');
    renameSync(`${s.storeDirectory}.away`, s.storeDirectory);
    await s.chain.publish(s.store, [keyOp(SECRET, true)]);
    await until(async () => (await s.call()) === 'credential_revoked', { what: 'the next revision' });
  });

  it('R7 on an empty disk with nothing reachable it is not ready, says why, and is ready once there is something', async () => {
    const s = newScene();
    rmSync(s.storeDirectory, { recursive: true });
    await s.start(s.env, 'listening');
    const ready = async () => {
      const response = await fetch(`${s.replica?.admin}/readyz`);
      return [response.status, ((await response.json()) as { detail?: string }).detail] as const;
    };
    await until(async () => (await ready())[1]?.includes('store_unreachable'), { what: 'the reason' });
    expect((await ready())[0]).toBe(503);
    expect(await s.call()).toBe('not_ready');
    await s.publishFirst();
    await until(async () => (await ready())[0] === 200, { what: 'the replica to be ready' });
    expect(await s.call()).toBe('served');
  });

  it('answers other gateways, and shows what it and its workers measure', async () => {
    const s = newScene();
    await s.publishFirst();
    await s.start();
    const validate = async () => {
      const body = JSON.stringify({ method: 'GET', path: '/weather/v1/today', key: SECRET });
      const headers = { 'content-type': 'application/json' };
      return (await fetch(`${s.replica?.admin}/validate`, { method: 'POST', headers, body })).json();
    };
    expect(await validate()).toMatchObject({ valid: true, api: 'weather', plan: 'gold', revision: 'prod@1' });
    await s.chain.publish(s.store, [keyOp(SECRET, true)]);
    const refused = { valid: false, status: 401, code: 'credential_revoked' };
    await until(async () => isDeepStrictEqual(await validate(), refused), { what: '/validate to refuse the key' });
    await s.call();
    const metrics = async (): Promise<string | null> => {
      const text = await (await fetch(`${s.replica?.admin}/metrics`)).text();
      return text.includes('heliograph_gateway_revision') ? text : null; // a worker that takes long to answer is left out
    };
    const text = await until(metrics, { what: 'the numbers of the worker' });
    expect(text).toContain('heliograph_replica_revision{region="eu-west"} 2\n');
    expect(text).toContain('heliograph_replica_applied_ops_total{region="eu-west"} 6\n');
    expect(text).toContain('heliograph_replica_sync_state{state="polling",region="eu-west"} 1\n');
    expect(text).toMatch(/heliograph_gateway_requests_total\{.*api="weather:v1".*\} 1\n/);
    readExposition(text);
  });

  it('stops cleanly, with its workers, when the process that started it is gone', async () => {
    const s = newScene();
    await s.publishFirst();
    await (await s.start()).stop();
    const main = join(import.meta.dirname, '../../../dist/apps/replica/src/main.js');
    const place = {
      HELIO_ENVIRONMENT: 'prod',
      HELIO_REGION: 'eu-west',
      HELIO_STATE_DIR: s.stateDir,
      HELIO_BIND: '127.0.0.1',
    };
    const [gateway, admin] = await freePorts(2);
    const env = { PATH: process.env.PATH, ...s.env, ...place, GATEWAY_PORT: `${gateway}`, ADMIN_PORT: `${admin}` };
    const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const ended = once(child, 'exit');
    await until(async () => (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok, { what: 'the replica to be ready' });
    child.disconnect();
    expect(await ended).toEqual([0, null]);
  });

  it('stops cleanly, with its workers, on SIGTERM', async () => {
    const s = newScene();
    await s.publishFirst();
    const first = await s.start();
    const { workers } = await s.status();
    expect(await first.stop()).toBe('exit code 0');
    for (const { pid } of workers) await until(() => !isAlive(pid), { what: `worker ${pid} to be gone` });
    expect(first.output().trim().split('\n').length).toBeLessThan(8);
  });

  it('joins a region through the master, keeps what it was told, and reports', async () => {
    const s = newScene();
    await s.publishFirst();
    const master = await FakeMaster.start();
    const answer = {
      replica: 'eu-west-1',
      token: 'hg_replica_1',
      environment: 'prod',
      region: 'eu-west',
      trustedKeys: [s.chain.signer.publicKey],
      store: s.store.description,
    };
    master.answers = [{ status: 401, body: { code: 'join_token_invalid', detail: 'unknown' } }];
    await s.start({ HELIO_MASTER_URL: master.url, HELIO_JOIN_TOKEN: 'hg_join_1' }, 'listening');
    await until(async () => (await s.status()).lastError?.code === 'master_refused', {
      what: 'the refusal in the status',
    });
    await s.replica?.stop();
    master.answers = [
      { status: 201, body: answer },
      { status: 204, body: null },
    ];
    s.replica = (await s.replica?.again()) ?? null;
    await until(async () => (await s.call()) === 'served', { what: 'the first revision' });
    expect((await s.status()).replica).toBe('eu-west-1');
    const reports = () =>
      master.heard.filter(
        ({ path, authorization }) => path === '/v1/replicas/status' && authorization === 'Bearer hg_replica_1',
      );
    await until(() => reports().some(({ body }) => body.revision === 1 && body.state === 'polling'), {
      what: 'the report of revision 1',
    });
    expect(() => replicaStatus.strict().parse(reports().at(-1)?.body)).not.toThrow();
    await master.stop();
    await s.replica?.stop();
    // neither the master nor its join token is needed any more
    s.replica = await startReplica({ environment: 'prod', region: 'eu-west', stateDir: s.stateDir, env: {} });
    expect(await s.call()).toBe('served');
    expect((await s.status()).replica).toBe('eu-west-1');
  });

  it('tells whether its limits are those of the region, also where its Redis has never answered, and of none where none is set', async () => {
    const s = newScene();
    await s.publishFirst();
    const told = async (): Promise<string | undefined> => {
      const text = await (await fetch(`${s.replica?.admin}/metrics`)).text();
      return /^heliograph_throttle_shared\{.*\} (\d)$/m.exec(text)?.[1];
    };
    await s.start();
    expect(await told()).toBeUndefined();
    await s.replica?.stop();
    s.replica = (await s.replica?.again({ REDIS_URL: 'redis://127.0.0.1:1' })) ?? null;
    expect(await told()).toBe('0');
  });
});

describe('a replica that cannot start', () => {
  const BASE = { HELIO_ENVIRONMENT: 'prod', HELIO_REGION: 'eu-west', HELIO_BIND: '127.0.0.1', HELIO_WORKERS: '1' };

  it('acknowledges what all of its workers serve, and waits for none that is dead', async () => {
    const s = newScene();
    const master = await ScriptedMaster.start();
    const first = s.chain.seal([release, placementOp('weather:v1', '*', release), planOp('gold'), applicationOp()]);
    master.onFollow = (one, { revision }) => {
      one.intent('changes', s.chain.head());
      if (revision === 0) one.frame(first.bytes);
    };
    const joined = { token: 'hg_replica_1', trustedKeys: [s.chain.signer.publicKey], store: s.store.description };
    writeIdentity(s.stateDir, { version: 1, environment: 'prod', region: 'eu-west', replica: 'eu-west-1', joined });
    await s.start({ HELIO_MASTER_URL: master.url, HELIO_WORKERS: '2' });
    const connection = await master.following();
    await until(() => connection.acked === 1, { what: 'the first revision to be acknowledged' });
    const { workers } = await s.status();
    const pid = workers[0]?.pid ?? 0;
    await pauseProcess(pid);
    connection.frame(s.chain.seal([keyOp(SECRET)]).bytes);
    await until(
      async () =>
        isDeepStrictEqual(
          (await s.status()).workers.map((one) => one.revision),
          [1, 2],
        ),
      {
        what: 'the other worker to serve it',
      },
    );
    expect(await s.status()).toMatchObject({ applied: 2, revision: 1, loaded: 1, hash: first.hash.toString('hex') });
    expect(connection.acked).toBe(1);
    process.kill(pid, 'SIGKILL');
    await until(() => connection.acked === 2, { what: 'the second revision to be acknowledged' });
    await until(async () => (await s.status()).revision === 2, { what: 'the status to say so' });
    await s.replica?.stop();
    await master.stop();
  });

  it('whose process 1 stands still refuses what it cannot count, says whose fault that is, and goes on with it', async () => {
    const s = newScene();
    await s.publishFirst();
    await s.chain.publish(s.store, [planOp('gold', { rate: { limit: 1000, per: 'second' }, quota: null })]);
    const { gateway, pid } = await s.start();
    await until(async () => (await s.status()).revision === 2, { what: 'the plan with a limit' });
    expect(await s.call()).toBe('served');
    await pauseProcess(pid);
    try {
      const detail = async (): Promise<string> => {
        const response = await fetch(`${gateway}/weather/v1/today`, { headers: { 'x-api-key': SECRET } });
        return response.status === 429 ? ((await response.json()) as { detail: string }).detail : '';
      };
      expect(await until(detail, { what: 'a request to be refused' })).toBe(
        "the rate of the plan gold, 1000 requests per second, could not be counted: this replica's counters do not answer",
      );
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until(async () => (await s.call()) === 'served', { what: 'it to be served again' });
  });

  it('names a port that is taken, and the setting', async () => {
    const s = newScene();
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const [free = 0] = await freePorts(1);
    const env = { ...BASE, ...s.env, HELIO_STATE_DIR: s.stateDir };
    const admin = await failedStart({ ...env, GATEWAY_PORT: `${free}`, ADMIN_PORT: `${port}` });
    expect(admin).toEqual({
      how: 'exit code 1',
      output: `helio-replica: ADMIN_PORT: the port ${port} is taken by another process; choose another\n`,
    });
    const gateway = await failedStart({ ...env, GATEWAY_PORT: `${port}`, ADMIN_PORT: `${free}` });
    expect(gateway.how).toBe('exit code 1');
    expect(gateway.output).toMatch(new RegExp(`^helio-replica: .*${port}.*GATEWAY_PORT.*\\n$`));
    taken.close();
  });

  it('names the state of another environment, and the process that has its state directory', async () => {
    const s = newScene();
    await s.publishFirst();
    await s.start();
    const env = { ...BASE, ...s.env, HELIO_STATE_DIR: s.stateDir, GATEWAY_PORT: '0', ADMIN_PORT: '0' };
    const second = await failedStart(env);
    expect(second).toEqual({
      how: 'exit code 1',
      output: `helio-replica: HELIO_STATE_DIR: the state directory ${s.stateDir} is in use by process ${s.replica?.pid}; give each replica its own\n`,
    });
    await s.replica?.stop();
    const other = await failedStart({ ...env, HELIO_ENVIRONMENT: 'staging' });
    expect(other.how).toBe('exit code 2');
    expect(other.output).toMatch(
      /^helio-replica: configuration: 1 fault\n {2}HELIO_ENVIRONMENT: is staging, but the state in .* is that of prod; correct it, or give/,
    );
  });

  it('names every fault of its configuration, with --check too', async () => {
    for (const args of [[], ['--check']]) {
      const { how, output } = await failedStart({ ...BASE, HELIO_REGION: 'EU' }, args);
      expect(how).toBe('exit code 2');
      expect(output).toMatch(/^helio-replica: configuration: 4 faults\n/);
    }
    const env = {
      ...BASE,
      HELIO_STATE_DIR: '/var/lib/helio',
      HELIO_MASTER_URL: 'http://master:8080',
      HELIO_JOIN_TOKEN: 't',
    };
    expect(await failedStart(env, ['--check'])).toEqual({
      how: 'exit code 0',
      output: 'helio-replica: the configuration is valid\n',
    });
    for (const args of [[], ['--check']]) {
      const never = { ARTIFACT_STORE: 'file:///etc/passwd/store', HELIO_PEERS: 'file:///etc/passwd' };
      expect(await failedStart({ ...env, ...never }, args)).toEqual({
        how: 'exit code 2',
        output: `helio-replica: configuration: 2 faults\n${['ARTIFACT_STORE', 'HELIO_PEERS'].map((name) => `  ${name}: /etc/passwd is not a directory; name the directory of a store\n`).join('')}`,
      });
    }
    expect(await failedStart({}, ['--version'])).toEqual({ how: 'exit code 0', output: `${VERSION}\n` });
    expect((await failedStart({}, ['--help'])).output).toContain('HELIO_TRUSTED_KEYS');
    expect(await failedStart({}, ['--chekc'])).toMatchObject({
      how: 'exit code 2',
      output: 'helio-replica: "--chekc" is not an option; --help lists them\n',
    });
  });
});
