import { once } from 'node:events';
import { createServer } from 'node:net';
import { sleep } from '#platform';

export const REGIONS = ['eu-west', 'us-east'] as const;
export type Region = (typeof REGIONS)[number];

export interface Ports {
  master: number;
  regions: Record<Region, { gateway: number; admin: number }>;
  echo: number;
  postgres: number;
}

const POLL_MS = 50;

export function portsFrom(base: number): Ports {
  return {
    master: base,
    regions: {
      'eu-west': { gateway: base + 1001, admin: base + 1101 },
      'us-east': { gateway: base + 1002, admin: base + 1102 },
    },
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
    ...REGIONS.flatMap((region) => [
      { port: ports.regions[region].gateway, what: `the gateway of ${region}` },
      { port: ports.regions[region].admin, what: `the admin port of ${region}` },
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
