import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { newSigningKeyPem } from '#artifacts';
import { describeWith, makeCertificate } from '#harness';
import { masterConfig } from '../../apps/master/src/config/config.js';
import { replicaConfig } from '../../apps/replica/src/config/replica-config.js';
import { requireBinary } from '../harness/services.js';
import {
  CASES,
  type Chart,
  chartPath,
  helm,
  inFile,
  isOfOperator,
  LEAST,
  type Manifest,
  ofKind,
  podOf,
  render,
  workloadOf,
} from './charts.js';

/** The oldest that the charts say they run on, and the newest whose schemas there are. */
const KUBERNETES = ['1.30', '1.37'];
const SECRETS = /^(DATABASE_URL|REDIS_URL|HELIO_.*TOKEN|S3_.*_KEY)$/;
const MAIN = { 'heliograph-master': 'master', 'heliograph-replica': 'replica' } as const;

const { 'heliograph-master': master, 'heliograph-replica': replica } = LEAST;
const { store } = master;

describeWith('helm', 'the charts', () => {
  it.each(CASES)('%s has no fault that helm finds', (_, { chart, file }) => {
    expect(helm('lint', '--strict', chartPath(chart), '--values', file)).toContain('0 chart(s) failed');
  });

  it.each(CASES)('%s lets nothing do more than it has to', (_, { chart, file }) => {
    const manifests = render(chart, file);
    const pod = podOf(manifests);
    expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    for (const container of pod.containers) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(container.resources).toMatchObject({
        requests: { cpu: expect.anything() },
        limits: { memory: expect.anything() },
      });
    }
  });

  it.each(CASES)('%s has no secret in it, and no setting that the app does not know', (_, { chart, file }) => {
    const [container] = podOf(render(chart, file)).containers;
    const env: Manifest[] = container.env;
    for (const { name, value } of env)
      expect([name, SECRETS.test(name), value !== undefined]).not.toEqual([name, true, true]);
    expect(new Set(env.map(({ name }) => name)).size).toBe(env.length);
    expect(() => settingsOf(chart, env)).not.toThrow();
  });

  it.each(CASES)('%s gives it the time that it takes to end', (_, { chart, file }) => {
    const { terminationGracePeriodSeconds: all, containers } = podOf(render(chart, file));
    const main = readFileSync(new URL(`../../apps/${MAIN[chart]}/src/main.ts`, import.meta.url), 'utf8');
    const grace = Number(/GRACE_MS = ([\d_]+)/.exec(main)?.[1]?.replaceAll('_', '')) / 1000;
    expect(grace).toBeGreaterThan(0);
    for (const { lifecycle } of containers) expect(all).toBeGreaterThan(lifecycle.preStop.sleep.seconds + grace);
  });

  it.each(CASES)('%s asks for health where the app says it', (_, { chart, file }) => {
    for (const { ports, startupProbe, livenessProbe, readinessProbe } of podOf(render(chart, file)).containers) {
      const named = ports.map(({ name }: { name: string }) => name);
      for (const probe of [startupProbe, livenessProbe, readinessProbe]) expect(named).toContain(probe.httpGet.port);
      expect([startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path)).toEqual([
        '/livez',
        '/livez',
        '/readyz',
      ]);
    }
  });

  it.each(CASES)('%s names its own pods, and ports that they have, wherever it selects', (_, { chart, file }) => {
    const manifests = render(chart, file);
    const { labels } = workloadOf(manifests).spec.template.metadata;
    const ports = podOf(manifests).containers.flatMap((container: Manifest) =>
      container.ports.map(({ name }: Manifest) => name),
    );
    const services = ofKind(manifests, 'Service');
    const selectors = [
      workloadOf(manifests).spec.selector.matchLabels,
      ...services.map(({ spec }) => spec.selector),
      ...ofKind(manifests, 'PodDisruptionBudget').map(({ spec }) => spec.selector.matchLabels),
      ...ofKind(manifests, 'NetworkPolicy').map(({ spec }) => spec.podSelector.matchLabels),
    ];
    for (const selector of selectors) expect(labels).toMatchObject(selector);
    for (const { spec } of services) for (const { targetPort } of spec.ports) expect(ports).toContain(targetPort);
    for (const { spec } of ofKind(manifests, 'ServiceMonitor')) {
      const [endpoint] = spec.endpoints;
      const watched = services.filter(({ spec: service }) =>
        service.ports.some(({ name }: Manifest) => name === endpoint.port),
      );
      expect(watched).toHaveLength(1);
      expect(watched[0].metadata.labels).toMatchObject(spec.selector.matchLabels);
      expect(watched[0].metadata.labels[spec.jobLabel]).toBe(chart);
    }
  });

  it('the replica is scaled by its autoscaler where it has one, and by nothing else', () => {
    const [region, joined] = ['region', 'joined'].map((name) =>
      render('heliograph-replica', join(chartPath('heliograph-replica'), 'ci', `${name}.yaml`)),
    );
    expect(workloadOf(region ?? []).spec.replicas).toBeUndefined();
    expect(ofKind(region ?? [], 'HorizontalPodAutoscaler')[0].spec.scaleTargetRef.name).toBe(
      workloadOf(region ?? []).metadata.name,
    );
    expect(workloadOf(joined ?? []).spec.replicas).toBe(2);
    expect(ofKind(joined ?? [], 'HorizontalPodAutoscaler')).toEqual([]);
  });

  it('the admin port of a replica is for its own release alone, unless somebody is named', () => {
    const [policy] = ofKind(
      render('heliograph-replica', join(chartPath('heliograph-replica'), 'ci', 'joined.yaml')),
      'NetworkPolicy',
    );
    const [, admin] = policy.spec.ingress;
    expect(admin.ports).toEqual([{ port: 'admin', protocol: 'TCP' }]);
    expect(admin.from).toEqual([{ podSelector: policy.spec.podSelector }]);
  });

  it.each<[string, Chart, object, RegExp]>([
    ['a master without secrets', 'heliograph-master', { ...master, existingSecret: '' }, /existingSecret/],
    ['an S3 store without an address', 'heliograph-master', { ...master, store: { url: store.url } }, /endpoint/],
    [
      'a directory without a volume',
      'heliograph-master',
      { ...master, store: { url: 'file:///store' } },
      /existingClaim/,
    ],
    [
      'a secret among the settings',
      'heliograph-master',
      { ...master, settings: { DATABASE_URL: 'postgres://' } },
      /settings\.DATABASE_URL .*existingSecret/,
    ],
    [
      'a setting that another value says',
      'heliograph-replica',
      { ...replica, settings: { HELIO_REGION: 'x' } },
      /settings\.HELIO_REGION .*the value region says it/,
    ],
    [
      'a number, which might be written as 1e+06',
      'heliograph-replica',
      { ...replica, settings: { HELIO_BODY_RATE: 1000000 } },
      /HELIO_BODY_RATE/,
    ],
    ['a value that there is not', 'heliograph-replica', { ...replica, replicaCount: 3 }, /replicaCount/],
    ['root', 'heliograph-replica', { ...replica, runAsUser: 0 }, /runAsUser/],
    ['a replica without a region', 'heliograph-replica', { ...replica, region: '' }, /region/],
    [
      'a replica that has neither a master nor keys to trust',
      'heliograph-replica',
      { ...replica, masterUrl: '' },
      /masterUrl|anyOf/,
    ],
  ])('refuse %s', (_, chart, values, why) => {
    expect(() => render(chart, values)).toThrow(why);
  });
  it('take what those were made of', () => {
    expect(render('heliograph-master', master).length).toBeGreaterThan(0);
    expect(render('heliograph-replica', replica).length).toBeGreaterThan(0);
  });
});

describeWith('kubernetes-validate', 'the charts and Kubernetes', () => {
  it.each(KUBERNETES)('make what the schemas of %s take, without a field that they do not know', (version) => {
    const directory = mkdtempSync(join(tmpdir(), 'heliograph-manifests-'));
    const files = CASES.map(([, { chart, file }], at) => {
      const text = render(chart, file)
        .filter((manifest) => !isOfOperator(manifest))
        .map((manifest) => stringify(manifest))
        .join('---\n');
      const path = join(directory, `${at}.yaml`);
      writeFileSync(path, text);
      return path;
    });
    validate(version, ...files);
  });

  it('have ways from outside in docs/kubernetes.md that lead to ports of theirs', () => {
    const text = readFileSync(new URL('../../docs/kubernetes.md', import.meta.url), 'utf8');
    const examples = [...text.matchAll(/^```yaml\n([^]*?)^```/gm)].map(([, yaml = '']): Manifest => parse(yaml));
    const ingress = ofKind(examples, 'Ingress')[0];
    for (const version of KUBERNETES) validate(version, inFile(JSON.stringify(ingress)));
    const { service } = ingress.spec.rules[0].http.paths[0].backend;
    const [own] = ofKind(render('heliograph-master', master, service.name), 'Service');
    expect(own.metadata.name).toBe(service.name);
    expect(own.spec.ports.map(({ name }: Manifest) => name)).toContain(service.port.name);

    const [backend] = ofKind(examples, 'HTTPRoute')[0].spec.rules[0].backendRefs;
    const [gateway] = ofKind(render('heliograph-replica', replica, backend.name), 'Service');
    expect(gateway.metadata.name).toBe(backend.name);
    expect(gateway.spec.ports.map(({ port }: Manifest) => port)).toContain(backend.port);
  });

  it('would find a field that is spelt wrong', () => {
    const [manifest] = ofKind(render('heliograph-master', master), 'Deployment');
    manifest.spec.template.spec.terminationGracePeriod = 30;
    expect(() => validate('1.37', inFile(stringify(manifest)))).toThrow(/terminationGracePeriod/);
  });
});

function validate(version: string, ...files: string[]): void {
  const args = ['--strict', '--kubernetes-version', version, ...files];
  try {
    execFileSync(requireBinary('kubernetes-validate'), args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${stdout}\n${stderr}`, { cause: error });
  }
}

/** What the app makes of the variables, with something in place of each secret. @throws ConfigError */
function settingsOf(chart: Chart, given: Manifest[]): unknown {
  const directory = mkdtempSync(join(tmpdir(), 'heliograph-chart-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const tls = makeCertificate({ names: ['api.example.com'] });
  file('tls.crt', tls.cert);
  file('tls.key', tls.key);
  const secrets: Record<string, string> = {
    DATABASE_URL: 'postgres://helio@db/helio',
    REDIS_URL: 'redis://redis:6379',
    HELIO_BOOTSTRAP_ADMIN_TOKEN: 'x'.repeat(40),
    HELIO_JOIN_TOKEN: 'x'.repeat(40),
    S3_ACCESS_KEY: 'x',
    S3_SECRET_KEY: 'x',
  };
  // what a pod finds at a path of its own
  const paths: Record<string, string> = {
    HELIO_SIGNING_KEY: file('signing.pem', newSigningKeyPem()),
    HELIO_STATE_DIR: directory,
    HELIO_TLS_CERTIFICATES: directory,
  };
  const env = Object.fromEntries(given.map(({ name, value }) => [name, paths[name] ?? value ?? secrets[name]]));
  return chart === 'heliograph-master' ? masterConfig(env) : replicaConfig(env);
}
