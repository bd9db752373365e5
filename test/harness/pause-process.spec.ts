import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { pauseProcess } from './pause-process.js';

const server = `require('node:http').createServer((_, response) => response.end('here'))
  .listen(0, '127.0.0.1', function () { console.log(this.address().port); });`;

describe('pauseProcess', () => {
  const child = spawn(process.execPath, ['-e', server], { stdio: ['ignore', 'pipe', 'inherit'] });
  afterEach(() => void child.kill('SIGKILL'));

  it('returns when the process answers nobody any more, until it goes on', async () => {
    const [port] = (await once(createInterface(child.stdout), 'line')) as [string];
    const ask = async (ms: number): Promise<string> =>
      (await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(ms) })).text();
    expect(await ask(10_000)).toBe('here');
    const pid = child.pid ?? 0;
    for (let round = 0; round < 10; round++) {
      await pauseProcess(pid);
      await expect(ask(40)).rejects.toThrow('timeout');
      process.kill(pid, 'SIGCONT');
      expect(await ask(10_000)).toBe('here');
    }
    child.kill('SIGKILL');
    await once(child, 'exit');
    await expect(pauseProcess(pid)).rejects.toThrow('ESRCH');
  });
});
