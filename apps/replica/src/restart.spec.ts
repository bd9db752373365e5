import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { build, freePorts, type RecordingUpstream, recordingUpstream, until } from '#harness';
import { type GatewayPort, openPort } from './gateway/gateway-port.js';
import { definitionOf, placed } from './testing/gateway-ops.js';
import { planOp } from './testing/sample-ops.js';
import { temporaryDirectory } from './testing/state-fixture.js';

const MAIN = fileURLToPath(new URL('../../../dist/apps/replica/src/main.js', import.meta.url));
const directories: string[] = [];
const processes: ChildProcess[] = [];
let upstream: RecordingUpstream;
let held: GatewayPort;
let port: number;
let admin: number;

beforeAll(() => build());

afterEach(async () => {
  for (const child of processes.splice(0)) {
    if (!isRunning(child)) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await held.close();
  await upstream.close();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function directory(): string {
  const made = temporaryDirectory();
  directories.push(made);
  return made;
}

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

/** As systemd starts a service that has a socket unit: the shell is for LISTEN_PID, which is the process's own. */
function start(env: Record<string, string>): ChildProcess {
  const all = {
    PATH: process.env['PATH'],
    LISTEN_FDS: '1',
    HELIO_ENVIRONMENT: 'prod',
    HELIO_REGION: 'eu-west',
    HELIO_BIND: '127.0.0.1',
    HELIO_WORKERS: '2',
    HELIO_POLL_SECONDS: '1',
    ADMIN_PORT: `${admin}`,
    ...env,
  };
  const args = ['-c', 'LISTEN_PID=$$ exec "$@"', 'sh', process.execPath, MAIN];
  const child = spawn('sh', args, { env: all, stdio: ['ignore', 'inherit', 'inherit', held.fd] });
  processes.push(child);
  return child;
}

const ready = (revision: number) =>
  until(async () => (await fetch(`http://127.0.0.1:${admin}/readyz?min=prod@${revision}`)).status === 200, {
    what: `a replica that serves revision ${revision}`,
    within: 60_000,
  });

async function ask(agent: Agent | false, revision: number): Promise<string> {
  const headers = { 'heliograph-min-revision': `prod@${revision}` };
  try {
    const request = httpRequest({ agent, port, host: '127.0.0.1', path: '/weather/v1/today', headers }).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await response.toArray();
    return `${response.statusCode}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

describe('a replica whose port was open before it', () => {
  it('G2 is replaced by another process: nobody is refused, no request is lost, none answered by an older revision', async () => {
    upstream = await recordingUpstream();
    [port = 0, admin = 0] = await freePorts(2);
    held = await openPort(port, '127.0.0.1');
    const store = openStore(pathToFileURL(directory()).href, { create: true });
    const chain = new ChainMaker();
    await chain.publish(
      store,
      placed(definitionOf({ security: 'open', upstream: { targets: [{ url: upstream.url }] } })),
    );
    const env = {
      HELIO_STATE_DIR: directory(),
      ARTIFACT_STORE: store.description,
      HELIO_TRUSTED_KEYS: chain.signer.publicKey,
    };
    const first = start(env);
    await ready(1);
    await chain.publish(store, [planOp('gold')]);
    await ready(2);
    let done = false;
    const results: string[] = [];
    const client = async (agent: Agent | false): Promise<void> => {
      while (!done) results.push(await ask(agent, 2));
      if (agent) agent.destroy();
    };
    const kept = Array.from({ length: 3 }, () => client(new Agent({ keepAlive: true, maxSockets: 1 })));
    const clients = [...kept, ...Array.from({ length: 3 }, () => client(false))];
    const more = (count: number) => {
      const { length } = results;
      return until(() => results.length > length + count, { what: 'more load', within: 60_000 });
    };
    await more(100);
    first.kill('SIGTERM');
    await once(first, 'exit');
    expect(first.exitCode).toBe(0);
    start(env);
    await more(200);
    done = true;
    await Promise.all(clients);
    expect([...new Set(results)]).toEqual(['200']);
    expect(upstream.requests).toHaveLength(results.length);
  });
});
