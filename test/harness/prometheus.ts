import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { startDaemon } from './daemon.js';
import { requireBinary } from './services.js';

/** One that is pending or fires, as `/api/v1/alerts` has it. */
export interface Alert {
  state: 'pending' | 'firing';
  /** `alertname` among them */
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

export interface Prometheus {
  alerts: () => Promise<Alert[]>;
  /** How many series a query had at any time since `since`, milliseconds since 1970; looked at every two seconds. */
  series: (query: string, since: number) => Promise<number>;
  /** Ends the process and removes its files. */
  stop: () => Promise<void>;
}

interface Envelope<T> {
  status: string;
  error?: string;
  data: T;
}

/**
 * A real Prometheus on a port of its own, with a database of its own.
 *
 * @param files by name; `prometheus.yml` is its configuration, the others are what that names
 */
export async function startPrometheus(files: Readonly<Record<string, string>>): Promise<Prometheus> {
  let database = '';
  const { port, stop } = await startDaemon({
    binary: requireBinary('prometheus'),
    command: (port, dir) => {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
      database = join(dir, 'database');
      const [config, listen] = [join(dir, 'prometheus.yml'), `127.0.0.1:${port}`];
      return {
        args: [`--config.file=${config}`, `--storage.tsdb.path=${database}`, `--web.listen-address=${listen}`],
        env: {},
      };
    },
    answers: async (port) => {
      // by its database it is told from another server that took the port in between
      const flags = await ask<Record<string, string>>(port, 'status/flags');
      if (flags['storage.tsdb.path'] !== database) throw new Error('another Prometheus has the port');
      const response = await fetch(`http://127.0.0.1:${port}/-/ready`);
      if (!response.ok) throw new Error(`it is not ready: ${response.status}`);
    },
  });
  return {
    stop,
    alerts: async () => (await ask<{ alerts: Alert[] }>(port, 'alerts')).alerts,
    series: async (query, since) => {
      const range = { query, start: `${since / 1000}`, end: `${Date.now() / 1000}`, step: '2' };
      const { result } = await ask<{ result: unknown[] }>(port, `query_range?${new URLSearchParams(range).toString()}`);
      return result.length;
    },
  };
}

/** @throws Error with what the server says is wrong */
async function ask<T>(port: number, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
  const { status, error, data } = (await response.json()) as Envelope<T>;
  if (status !== 'success') throw new Error(`Prometheus refuses ${path}: ${error}`);
  return data;
}

/** Runs the promtool that comes with Prometheus. @throws Error with its output where it fails */
export function promtool(...args: string[]): string {
  const binary = join(dirname(requireBinary('prometheus')), 'promtool');
  const { status, stdout, stderr, error } = spawnSync(binary, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`promtool ${args.join(' ')}: ${error?.message ?? `${stdout}${stderr}`}`);
  return stdout;
}
