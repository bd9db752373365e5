import { once } from 'node:events';
import { createServer } from 'node:net';
import { sleep } from '#platform';
import { REGIONS, type Region } from './topology.js';

export interface Ports {
  master: number;
  /** of those that are started */
  regions: (Region & { gateway: number; admin: number })[];
  echo: number;
  postgres: number;
}

const POLL_MS = 50;

/** @param regions that are started; the others leave their ports free */
export function portsFrom(base: number, regions: readonly Region[] = REGIONS): Ports {
  const all = REGIONS.map((region, i) => ({ ...region, gateway: base + 1001 + i, admin: base + 1101 + i }));
  return {
    master: base,
    regions: all.filter(({ id }) => regions.some((region) => region.id === id)),
    echo: base + 1201,
    postgres: base + 1202,
  };
}

/**
 * Looks at all ports before anything is started, so that one message can name every one that is taken.
 *
 * @param patienceMs how long they may stay taken: processes of a start that was killed take a moment to leave
 * @throws Error
 */
export async function checkPorts(ports: Ports, patienceMs: number): Promise<void> {
  const deadline = Date.now() + patienceMs;
  let taken = await takenOf(ports);
  while (taken.length > 0 && Date.now() < deadline) {
    await sleep(POLL_MS);
    taken = await takenOf(ports);
  }
  if (taken.length === 0) return;
  const lines = taken.map(({ port, what, why }) => `  ${port}, for ${what}${why === 'EADDRINUSE' ? '' : ` (${why})`}`);
  const advice = `Free ${taken.length === 1 ? 'it' : 'them'}, or move all ports: HELIO_PORT_BASE=${elsewhere(ports.master)} npm start`;
  const title = taken.length === 1 ? 'A port is taken' : `${taken.length} ports are taken`;
  throw new Error(`${title} by another process:\n${lines.join('\n')}\n${advice}`);
}

function elsewhere(base: number): number {
  return base < 50_000 ? base + 10_000 : 8080;
}

async function takenOf(ports: Ports): Promise<{ port: number; what: string; why: string }[]> {
  const uses = [
    { port: ports.master, what: 'the master' },
    ...ports.regions.flatMap(({ id, gateway, admin }) => [
      { port: gateway, what: `the gateway of ${id}` },
      { port: admin, what: `the admin port of ${id}` },
    ]),
    { port: ports.echo, what: 'the echo upstream' },
    { port: ports.postgres, what: 'PostgreSQL' },
  ];
  const found = await Promise.all(uses.map(async (use) => ({ ...use, why: await whyTaken(use.port) })));
  return found.flatMap(({ why, ...use }) => (why === undefined ? [] : [{ ...use, why }]));
}

async function whyTaken(port: number): Promise<string | undefined> {
  const probe = createServer().listen(port, '127.0.0.1');
  try {
    await once(probe, 'listening');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
  probe.close();
  await once(probe, 'close');
  return undefined;
}
