import { freePort } from './daemon.js';

/** Ports of the loopback interface that nobody had when they were asked for; all different. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
