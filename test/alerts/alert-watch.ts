import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { type Alert, type Prometheus, startPrometheus, until } from '#harness';

export const DOCKER = join(import.meta.dirname, '../../docker');

/**
 * How many times faster the rules' time goes here: `for`, ranges and offsets are divided by it, 5 minutes are 10 seconds, in
 * which Prometheus looks five times. All of them by the same, so that what a rule says of times that depend on each other stays as
 * it is. Thresholds are not changed, also where they are seconds.
 */
const FASTER = 30;
/** Not faster: /metrics waits a second for workers that do not answer, and Prometheus no longer than this for /metrics. */
const SCRAPE = '2s';
const EVERY_MS = 200;
const WITHIN_MS = 150_000;
const AGAIN_MS = 300;
/** Of one that waits for an alert to fire, and then to clear. */
export const TEST_MS = 2 * WITHIN_MS + 60_000;

/** `$__rate_interval` of the dashboard, as Grafana makes it: four scrapes at the least. */
export const RATE_INTERVAL = '10s';

const MILLISECONDS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

type Job = 'heliograph-master' | 'heliograph-replica';

interface Config {
  global: Record<string, string>;
  scrape_configs: { job_name: string; static_configs: { targets: string[] }[] }[];
}

/** Our rules on a real Prometheus that scrapes real processes. */
export class AlertWatch {
  private constructor(
    private readonly prometheus: Prometheus,
    /** milliseconds since 1970 */
    readonly since: number,
  ) {}

  /** @param targets URLs whose `/metrics` are asked, by the jobs of docker/prometheus/prometheus.yml */
  static async start(targets: Partial<Record<Job, string[]>>): Promise<AlertWatch> {
    const config = parse(read('prometheus/prometheus.yml')) as Config;
    config.global = { scrape_interval: SCRAPE, evaluation_interval: '1s' };
    for (const job of config.scrape_configs)
      job.static_configs = [{ targets: (targets[job.job_name as Job] ?? []).map((url) => new URL(url).host) }];
    const since = Date.now();
    const rules = faster(read('prometheus/rules.yml'));
    return new AlertWatch(await startPrometheus({ 'prometheus.yml': stringify(config), 'rules.yml': rules }), since);
  }

  /**
   * The alert is silent, then it fires after `fault`, and is silent again after `mend`.
   *
   * @param labels that it has to have
   * @returns it, as it fired
   */
  async firesAndClears(
    name: string,
    labels: Record<string, string>,
    fault: () => unknown,
    mend: () => unknown,
  ): Promise<Alert> {
    if (await this.find(name, labels)) throw new Error(`${name} fires before anything is wrong`);
    await fault();
    const alert = await this.fires(name, labels);
    await mend();
    await this.clears(name, labels);
    return alert;
  }

  async fires(name: string, labels: Record<string, string>): Promise<Alert> {
    const alert = await until(() => this.find(name, labels), {
      what: `${name} to fire`,
      within: WITHIN_MS,
      every: EVERY_MS,
    });
    const { summary, runbook } = alert.annotations;
    // what a template could not be filled with is told in its text
    if (!summary || !runbook || /error|no value|%!/.test(summary))
      throw new Error(`${name} cannot be told: ${JSON.stringify(alert.annotations)}`);
    return alert;
  }

  async clears(name: string, labels: Record<string, string>): Promise<void> {
    const silent = async (): Promise<boolean> => !(await this.find(name, labels));
    await until(silent, { what: `${name} to clear`, within: WITHIN_MS, every: EVERY_MS });
  }

  /** How many series a query had at any time since the start. */
  series(query: string): Promise<number> {
    return this.prometheus.series(query, this.since);
  }

  stop(): Promise<void> {
    return this.prometheus.stop();
  }

  private async find(name: string, labels: Record<string, string>): Promise<Alert | undefined> {
    const wanted = Object.entries({ alertname: name, ...labels });
    return (await this.prometheus.alerts()).find(
      (alert) => alert.state === 'firing' && wanted.every(([label, value]) => alert.labels[label] === value),
    );
  }
}

export interface Repeated {
  /** Resolves when the last time is over. @throws what the work has thrown, which ended it */
  stop(): Promise<void>;
}

/** Does it again and again: a fault that is there for a moment may be over before a slow machine has looked twice. */
export function repeatedly(work: () => unknown): Repeated {
  const stopped = new AbortController();
  const working = (async () => {
    while (!stopped.signal.aborted) {
      await work();
      await sleep(AGAIN_MS, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  })();
  working.catch(() => undefined); // told by `stop`
  return {
    stop: () => {
      stopped.abort();
      return working;
    },
  };
}

/** Every expression of the dashboard, as Grafana asks it for all regions. */
export function dashboardQueries(): { panel: string; query: string }[] {
  interface Dashboard {
    panels: { title: string; targets?: { expr: string }[] }[];
  }
  const { panels } = JSON.parse(read('grafana/heliograph.json')) as Dashboard;
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      panel: title,
      query: expr.replaceAll('$region', '.*').replaceAll('$__rate_interval', RATE_INTERVAL),
    })),
  );
}

function faster(rules: string): string {
  return rules.replace(
    /(for: |\[|offset )(\d+)([smhd])\b/g,
    (_, before: string, count: string, unit: string) =>
      `${before}${Math.round((Number(count) * (MILLISECONDS[unit] ?? Number.NaN)) / FASTER)}ms`,
  );
}

function read(name: string): string {
  return readFileSync(join(DOCKER, name), 'utf8');
}
