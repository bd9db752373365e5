import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkPorts, portsFrom } from './ports.js';
import { REGIONS } from './topology.js';

/** A base of which no port is in use: tests of other files ask the system for theirs, which come from far above. */
const BASE = 21_080;

async function listen(port: number, host: string): Promise<() => void> {
  const server = createServer().listen(port, host);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return () => server.close();
}

describe('checkPorts', () => {
  it('accepts ports that are free', async () => {
    await checkPorts(portsFrom(BASE), 0);
  });

  it('names every port that is taken, what it is for, and how to move all of them', async () => {
    await listen(BASE, '127.0.0.1');
    await listen(BASE + 1102, '0.0.0.0');
    await expect(checkPorts(portsFrom(BASE), 0)).rejects.toThrow(
      `2 ports are taken by another process:\n  ${BASE}, for the master\n  ${BASE + 1102}, for the admin port of us-east\n` +
        'Free them, or move all ports: HELIO_PORT_BASE=31080 npm start',
    );
  });

  it('leaves those of regions that are not started to others', async () => {
    await listen(BASE + 1002, '127.0.0.1');
    const [first] = REGIONS;
    expect(portsFrom(BASE, [first]).regions).toEqual([{ ...first, gateway: BASE + 1001, admin: BASE + 1101 }]);
    await checkPorts(portsFrom(BASE, [first]), 0);
  });

  it('waits for what is about to leave', async () => {
    const close = await listen(BASE + 1202, '127.0.0.1');
    const checked = checkPorts(portsFrom(BASE), 10_000);
    setTimeout(close, 100);
    await checked;
  });
});
