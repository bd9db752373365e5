import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { describeWith } from '#harness';
import { requireBinary } from '../harness/services.js';
import { CASES, CHARTS, type Chart, isOfOperator, LEAST, type Manifest, ofKind, render } from './charts.js';

const MONITORED = { serviceMonitor: { enabled: true, labels: { team: 'api' } }, prometheusRule: { enabled: true } };
const rendered = (chart: Chart, values: object = {}): Manifest[] =>
  render(chart, { ...LEAST[chart], ...MONITORED, ...values }).filter(isOfOperator);

describeWith('helm', 'the charts and Prometheus', () => {
  it('have the rules of docker/prometheus, each its own', () => {
    const rules = CHARTS.flatMap((chart) => ofKind(rendered(chart), 'PrometheusRule')[0].spec.groups);
    const { groups } = parse(readFileSync(new URL('../../docker/prometheus/rules.yml', import.meta.url), 'utf8'));
    const byName = (a: Manifest, b: Manifest): number => a.name.localeCompare(b.name);
    expect(rules.sort(byName)).toEqual(groups.sort(byName));
  });

  it.each(CHARTS)('%s leads from each alert to where its documents are kept', (chart) => {
    const runbookBase = 'https://git.example.com/heliograph/src/main/';
    const [{ spec }] = ofKind(rendered(chart, { prometheusRule: { enabled: true, runbookBase } }), 'PrometheusRule');
    const alerts: Manifest[] = spec.groups
      .flatMap(({ rules }: Manifest) => rules)
      .filter(({ alert }: Manifest) => alert);
    expect(alerts.length).toBeGreaterThan(5);
    for (const { alert, annotations } of alerts)
      expect(annotations.runbook_url).toBe(`${runbookBase}docs/operations.md#${alert.toLowerCase()}`);
  });

  it.each(CHARTS)('%s gives nothing to an operator that it was not told of', (chart) => {
    expect(render(chart, LEAST[chart]).filter(isOfOperator)).toEqual([]);
    expect(rendered(chart).map(({ kind }) => kind)).toEqual(['PrometheusRule', 'ServiceMonitor']);
  });
});

describeWith('prometheus-operator-python', 'what the Prometheus operator is given', () => {
  let sound: Manifest[];
  beforeAll(() => {
    sound = rendered('heliograph-master');
  });

  it('is what it takes, without a field that it does not know', () => {
    const given = CASES.flatMap(([, { chart, file }]) => render(chart, file)).filter(isOfOperator);
    expect(given.length).toBeGreaterThan(4);
    check([...given, ...CHARTS.flatMap((chart) => rendered(chart))]);
  });

  it.each<[string, (monitor: Manifest, rules: Manifest) => void, RegExp]>([
    ['an interval that is none', (monitor) => (monitor.spec.endpoints[0].interval = '15 seconds'), /interval/],
    ['a field that is spelt wrong', (monitor) => (monitor.spec.endpoints[0].pathh = '/'), /endpoints\.0\.pathh/],
    ['a port by its number', (monitor) => (monitor.spec.endpoints[0].port = 9180), /port/],
    ['no selector', (monitor) => delete monitor.spec.selector, /selector/],
    ['a rule without an expression', (_, rules) => delete rules.spec.groups[0].rules[0].expr, /expr/],
    ['a time that is none', (_, rules) => (rules.spec.groups[0].rules[0].for = 'a while'), /for/],
    ['a label that is a number', (_, rules) => (rules.spec.groups[0].rules[0].labels = { severity: 1 }), /severity/],
  ])('would be refused with %s', (_, spoil, why) => {
    const objects = structuredClone(sound);
    spoil(ofKind(objects, 'ServiceMonitor')[0], ofKind(objects, 'PrometheusRule')[0]);
    expect(() => check(objects)).toThrow(why);
  });
});

/** @throws Error with what is wrong with them, by models that are made from the operator's own definitions */
function check(objects: readonly Manifest[]): void {
  const script = fileURLToPath(new URL('operator-objects.py', import.meta.url));
  const input = JSON.stringify(objects);
  execFileSync(requireBinary('prometheus-operator-python'), [script], { input, stdio: ['pipe', 'pipe', 'pipe'] });
}
