import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { describeWith } from '#harness';
import { requireBinary } from '../harness/services.js';
import { CHARTS, type Chart, chartPath, LEAST, type Manifest, ofKind, podOf, render, workloadOf } from './charts.js';

interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
}

const schemaOf = (chart: Chart): Schema =>
  JSON.parse(readFileSync(join(chartPath(chart), 'values.schema.json'), 'utf8')) as Schema;

/** What a schema says, value by value: its path, and what it is. */
function valuesOf({ properties = {} }: Schema, path: readonly string[] = []): [path: string[], schema: Schema][] {
  return Object.entries(properties).flatMap(([key, schema]) => [
    [[...path, key], schema],
    ...valuesOf(schema, [...path, key]),
  ]);
}

function setAt(values: Manifest, [key = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) values[key] = value;
  else setAt((values[key] ??= {}), rest, value);
}

/** What helm says of values that the schema refuses. */
function complaint(chart: Chart, values: object): string {
  try {
    render(chart, values);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error(`${chart} takes ${JSON.stringify(values)}`);
}

describeWith('helm', 'values of the charts', () => {
  it.each(CHARTS)('%s names each one that is of another type', (chart) => {
    const values = {};
    const leaves = valuesOf(schemaOf(chart)).filter(([, { properties }]) => properties === undefined);
    for (const [path, { type }] of leaves) setAt(values, path, type === 'string' ? 1 : 'wrong');
    const told = complaint(chart, values);
    for (const [path] of leaves) expect(told).toContain(`'/${path.join('/')}'`);
    expect(leaves.length).toBeGreaterThan(25);
  });

  it.each(CHARTS)('%s names each one that there is not, and where it stands', (chart) => {
    const values = structuredClone(LEAST[chart]);
    const groups = valuesOf(schemaOf(chart)).filter(([, { properties }]) => properties !== undefined);
    for (const [path] of [[[]], ...groups] as [string[]][]) setAt(values, [...path, 'mistyped'], 1);
    const told = complaint(chart, values);
    for (const [path] of groups) expect(told).toMatch(new RegExp(`'/${path.join('/')}'.*'mistyped'`));
    expect(told).toMatch(/at '': additional properties 'mistyped'/);
    expect(groups.length).toBeGreaterThan(7);
  });

  it('several regions and the masters go into one namespace, and none takes what is of another one', () => {
    const releases = [
      render('heliograph-master', LEAST['heliograph-master'], 'master'),
      ...['eu-west', 'eu-west-2'].map((region) =>
        render('heliograph-replica', { ...LEAST['heliograph-replica'], region }, region),
      ),
    ];
    const names = releases.flat().map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const own of releases)
      for (const { spec } of ofKind(own, 'Service'))
        for (const other of releases) {
          const { labels } = workloadOf(other).spec.template.metadata;
          const selects = Object.entries(spec.selector).every(([key, value]) => labels[key] === value);
          expect(selects).toBe(other === own);
        }
  });

  it.each(CHARTS)('%s refuses a name that no Service may have, and takes another one instead', (chart) => {
    expect(() => render(chart, LEAST[chart], '2nd')).toThrow(/"2nd".*fullnameOverride/);
    const [service] = ofKind(render(chart, { ...LEAST[chart], fullnameOverride: 'second' }, '2nd'), 'Service');
    expect(service.metadata.name).toBe('second');
  });

  it.each(CHARTS)('%s listens on IPv6 where its Services have it, and on IPv4 else', (chart) => {
    const of = (ipFamilies: string[]): [bind: unknown, services: unknown[]] => {
      const manifests = render(chart, { ...LEAST[chart], ipFamilies });
      const bind = podOf(manifests).containers[0].env.find(({ name }: Manifest) => name === 'HELIO_BIND');
      return [bind?.value, ofKind(manifests, 'Service').map(({ spec }) => [spec.ipFamilyPolicy, spec.ipFamilies])];
    };
    const services = chart === 'heliograph-master' ? 1 : 2;
    expect(of([])).toEqual([undefined, Array(services).fill([undefined, undefined])]);
    expect(of(['IPv6'])).toEqual(['::', Array(services).fill(['SingleStack', ['IPv6']])]);
    expect(of(['IPv4', 'IPv6'])).toEqual(['::', Array(services).fill(['RequireDualStack', ['IPv4', 'IPv6']])]);
  });

  it.each(CHARTS)('%s reads authorities where it mounts them, and mounts what it has', (chart) => {
    const pod = podOf(render(chart, { ...LEAST[chart], authorities: { existingConfigMap: 'company' } }));
    const [{ env, volumeMounts }] = pod.containers;
    const { value } = env.find(({ name }: Manifest) => name === 'NODE_EXTRA_CA_CERTS');
    const mount = volumeMounts.find(({ mountPath }: Manifest) => value === `${mountPath}/ca.crt`);
    expect(pod.volumes).toContainEqual({ name: mount.name, configMap: { name: 'company' } });
  });

  it.each(CHARTS)('%s refuses each variable that its pod has anyway, and each secret, among the settings', (chart) => {
    const everything = {
      tls: { existingSecret: 'x' },
      upstreamCertificates: { existingSecret: 'x' },
      peers: ['http://a'],
    };
    const more = chart === 'heliograph-replica' ? { ...everything, trustedKeys: ['x'] } : {};
    const store = { url: 's3://heliograph/main', endpoint: 'https://s3.internal', region: 'x' };
    const values = { ...LEAST[chart], ...more, store, ipFamilies: ['IPv6'] };
    const names = podOf(render(chart, values)).containers[0].env.map(({ name }: Manifest) => name);
    expect(names.length).toBeGreaterThan(10);
    for (const name of names)
      expect(complaint(chart, { ...values, settings: { [name]: 'x' } })).toContain(
        `settings.${name} does not go there`,
      );
  });

  it.each(CHARTS)('%s spreads its own pods, over what it is told or over zones and machines', (chart) => {
    const spread = (given: object[]): Manifest[] =>
      podOf(render(chart, { ...LEAST[chart], topologySpreadConstraints: given })).topologySpreadConstraints;
    const labelSelector = workloadOf(render(chart, LEAST[chart])).spec.selector;
    expect(spread([])).toMatchObject([
      { topologyKey: 'topology.kubernetes.io/zone', labelSelector },
      { topologyKey: 'kubernetes.io/hostname', labelSelector },
    ]);
    const one = { maxSkew: 2, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' };
    const other = { ...one, labelSelector: { matchLabels: { team: 'api' } } };
    expect(spread([one, other])).toEqual([{ ...one, labelSelector }, other]);
  });

  it('refuse what only the API server would find, or nobody', () => {
    const replica = LEAST['heliograph-replica'];
    const autoscaling = { enabled: true, minReplicas: 9, maxReplicas: 8 };
    expect(complaint('heliograph-replica', { ...replica, autoscaling })).toContain(
      'autoscaling.minReplicas: 9 is above autoscaling.maxReplicas, 8',
    );
    for (const chart of CHARTS)
      expect(complaint(chart, { ...LEAST[chart], podLabels: { 'app.kubernetes.io/name': 'x' } })).toContain(
        "podLabels: the label app.kubernetes.io/name is the chart's own",
      );
  });

  it('the replica keeps as many as there are when it is given to an autoscaler', async () => {
    const answers: Record<string, object> = {
      '/apis/apps/v1': {
        groupVersion: 'apps/v1',
        resources: [{ name: 'statefulsets', namespaced: true, kind: 'StatefulSet' }],
      },
      '/apis/apps/v1/namespaces/heliograph/statefulsets/eu-west': { kind: 'StatefulSet', spec: { replicas: 5 } },
    };
    const cluster = createServer((request, response) => {
      const answer = answers[(request.url ?? '').split('?')[0] ?? ''];
      response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ apiVersion: 'apps/v1', kind: 'APIResourceList', ...answer }));
    }).listen(0, '127.0.0.1');
    await once(cluster, 'listening');
    const address = `http://127.0.0.1:${(cluster.address() as AddressInfo).port}`;
    const chart = chartPath('heliograph-replica');
    const replicas = async (autoscaling: boolean): Promise<unknown> => {
      const values = ['--values', join(chart, 'ci/joined.yaml'), '--set', `autoscaling.enabled=${autoscaling}`];
      const asked = [
        '--dry-run=server',
        '--kube-apiserver',
        address,
        '--kube-version',
        '1.30.0',
        '--namespace',
        'heliograph',
      ];
      const args = ['template', 'eu-west', chart, '--show-only', 'templates/statefulset.yaml', ...asked, ...values];
      const home = mkdtempSync(join(tmpdir(), 'heliograph-helm-'));
      const { stdout } = await promisify(execFile)(requireBinary('helm'), args, { env: { HOME: home } });
      const manifest: Manifest = parse(stdout);
      return manifest.spec.replicas;
    };
    expect(await replicas(true)).toBe(5);
    expect(await replicas(false)).toBe(2);
    cluster.close();
  });
});
