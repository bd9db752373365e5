import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { requireBinary } from '../harness/services.js';
import { DEPLOY } from './shipped.js';

export const CHARTS = ['heliograph-master', 'heliograph-replica'] as const;
export type Chart = (typeof CHARTS)[number];

/** Of many kinds: a test says which by what it reads. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Manifest = any;

export const chartPath = (chart: Chart): string => join(DEPLOY, 'helm', chart);

interface Case {
  chart: Chart;
  /** of values */
  file: string;
}

/** Each chart with each of its files of values, and how that is called. */
export const CASES = CHARTS.flatMap((chart) =>
  readdirSync(join(chartPath(chart), 'ci')).map((file): [string, Case] => [
    `${chart} with ${file}`,
    { chart, file: join(chartPath(chart), 'ci', file) },
  ]),
);

export function helm(...args: string[]): string {
  const home = mkdtempSync(join(tmpdir(), 'heliograph-helm-'));
  const env = { PATH: process.env.PATH, HOME: home };
  return execFileSync(requireBinary('helm'), args, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The least that each takes. */
export const LEAST = {
  'heliograph-master': {
    existingSecret: 'all',
    signingKey: { existingSecret: 'key' },
    store: { url: 's3://heliograph/main', endpoint: 'https://s3.internal' },
  },
  'heliograph-replica': {
    environment: 'prod',
    region: 'eu-west',
    existingSecret: 'all',
    masterUrl: 'http://master:8080',
  },
} as const;

/** @param values a file, or what would stand in one @throws Error with what helm says */
export function render(chart: Chart, values: string | object, release = 'edge'): Manifest[] {
  const file = typeof values === 'string' ? values : inFile(stringify(values));
  // one that Go has built takes itself for another version of Kubernetes
  const options = ['--namespace', 'heliograph', '--kube-version', '1.30.0', '--values', file];
  const text = helm('template', release, chartPath(chart), ...options);
  return parseAllDocuments(text)
    .map((document) => {
      const [fault] = document.errors;
      if (fault) throw new Error(`${chart}: ${fault.message}`);
      return document.toJS();
    })
    .filter((manifest) => manifest !== null);
}

export function inFile(text: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'heliograph-chart-')), 'file.yaml');
  writeFileSync(file, text);
  return file;
}

export const ofKind = (manifests: readonly Manifest[], kind: string): Manifest[] =>
  manifests.filter((manifest) => manifest.kind === kind);

/** Of a kind that the Prometheus operator knows, and Kubernetes does not. */
export const isOfOperator = ({ apiVersion }: Manifest): boolean => apiVersion.startsWith('monitoring.coreos.com/');

/** The Deployment, or the StatefulSet. */
export const workloadOf = (manifests: readonly Manifest[]): Manifest =>
  manifests.find(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');

export const podOf = (manifests: readonly Manifest[]): Manifest => workloadOf(manifests).spec.template.spec;
