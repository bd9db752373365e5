import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { until } from '#harness';
import { type Running, Supervised } from './supervised.js';

async function startSleep(): Promise<Running> {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  const exited = once(child, 'exit').then(([, signal]) => String(signal));
  const end = async () => {
    child.kill();
    await exited;
  };
  return { pid: child.pid as number, exited, stop: end, kill: end };
}

function supervise(start: () => Promise<Running>) {
  const dir = mkdtempSync(join(tmpdir(), 'heliograph-supervised-'));
  const log = join(dir, 'log');
  writeFileSync(log, 'what it said last\n');
  const stopping = new AbortController();
  const said: string[] = [];
  const events = { restarts: 0 };
  const restarted = () => void events.restarts++;
  const service = new Supervised({
    name: 'sleep',
    log,
    start,
    signal: stopping.signal,
    say: (text) => said.push(text),
    restarted,
  });
  const stop = async () => {
    stopping.abort(new Error('stopping'));
    await service.stop();
  };
  onTestFinished(async () => {
    await stop();
    rmSync(dir, { recursive: true });
  });
  return { service, said, events, stop };
}

describe('Supervised', () => {
  it('starts a process that was killed again, and says so with the end of its log', async () => {
    const { service, said, events } = supervise(startSleep);
    const first = await service.start();
    process.kill(first.pid, 'SIGKILL');
    await until(() => events.restarts === 1, { what: 'the restart' });
    expect(service.pid).not.toBe(first.pid);
    expect(said.join()).toMatch(
      /^sleep ended \(SIGKILL\) and is started again; the end of .*log:\n {2}what it said last$/,
    );
  });

  it('goes on trying when the process does not come up', async () => {
    let starts = 0;
    const { service, said, events } = supervise(() =>
      ++starts === 2 ? Promise.reject(new Error('no luck')) : startSleep(),
    );
    process.kill((await service.start()).pid, 'SIGKILL');
    await until(() => events.restarts === 1, { what: 'the restart after the next' });
    expect(said[1]).toContain('sleep cannot be started again: no luck');
  });

  it('does not repeat a first start that fails', async () => {
    let starts = 0;
    const { service } = supervise(() => {
      starts++;
      return Promise.reject(new Error('bad setting'));
    });
    await expect(service.start()).rejects.toThrow(/^sleep: bad setting; the end of/);
    expect(starts).toBe(1);
  });

  it('ends a process that is still being started when the system stops', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const { service, stop } = supervise(() => gate.then(startSleep));
    const starting = service.start();
    const stopped = stop();
    open();
    await stopped;
    await expect((await starting).exited).resolves.toBe('SIGTERM');
  });

  it('leaves an end alone that was asked for', async () => {
    const { service, said, events, stop } = supervise(startSleep);
    await service.start();
    await stop();
    expect({ said, ...events }).toEqual({ said: [], restarts: 0 });
  });
});
