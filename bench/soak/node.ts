import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import type { Region } from '../regions.js';

export interface WorkerSeen {
  name: string;
  pid: number;
  listening: boolean;
}

/** What a gateway has counted. */
export interface Counted {
  requests: number;
  faults: number;
  /** workers that ended by themselves, or were killed */
  deaths: number;
}

const WITHIN_MS = 30_000;
/** What a worker told longer ago is not all that it has to tell. */
const TOLD_SECONDS = 0.5;

/** The workers, when all of them listen. */
export async function workersOf({ admin }: Region, count: number): Promise<WorkerSeen[]> {
  const began = performance.now();
  for (;;) {
    const { body } = await request(`${admin}/status`);
    const { workers } = (await body.json()) as { workers: WorkerSeen[] };
    if (workers.length === count && workers.every(({ listening }) => listening)) return workers;
    if (performance.now() - began > WITHIN_MS) throw new Error(`not ${count} workers listen after ${WITHIN_MS} ms`);
    await sleep(50);
  }
}

/** The numbers of so many workers together: one that is busy may miss the time that it has for its answer. */
export async function countedBy({ admin }: Region, workers: number): Promise<Counted> {
  const began = performance.now();
  for (;;) {
    const text = await (await request(`${admin}/metrics`)).body.text();
    const values = (name: string): number[] =>
      text
        .split('\n')
        .flatMap((line) => (line.startsWith(`${name}{`) ? [Number(line.slice(line.lastIndexOf(' ')))] : []));
    const sum = (name: string): number => values(name).reduce((total, value) => total + value, 0);
    const silences = values('heliograph_gateway_worker_silence_seconds');
    if (silences.length === workers && silences.every((seconds) => seconds < TOLD_SECONDS))
      return {
        requests: sum('heliograph_gateway_requests_total'),
        faults: sum('heliograph_gateway_faults_total'),
        deaths: sum('heliograph_gateway_worker_deaths_total'),
      };
    if (performance.now() - began > WITHIN_MS) throw new Error(`not ${workers} workers gave their numbers`);
    await sleep(100);
  }
}
