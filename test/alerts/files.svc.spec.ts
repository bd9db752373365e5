import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { describeWith, promtool } from '#harness';
import { DOCKER } from './alert-watch.js';

interface Rules {
  groups: { rules: { alert?: string; annotations?: Record<string, string> }[] }[];
}

const pathOf = (name: string): string => join(DOCKER, 'prometheus', name);
const alerts = (parse(readFileSync(pathOf('rules.yml'), 'utf8')) as Rules).groups
  .flatMap(({ rules }) => rules)
  .flatMap(({ alert, annotations }) => (alert === undefined ? [] : [{ alert, annotations }]));

describeWith('prometheus', 'configuration and rules of Prometheus', () => {
  it('are taken by promtool, and do what series of ours want of them', () => {
    for (const name of ['prometheus.yml', 'multi-dc.yml'])
      expect(promtool('check', 'config', pathOf(name))).toContain('SUCCESS');
    expect(promtool('test', 'rules', pathOf('rules.test.yml'))).toContain('SUCCESS');
  });

  it('have no alert that is not fired and cleared by a test', () => {
    const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.svc.spec.ts'));
    const tests = [...files.map((name) => join(import.meta.dirname, name)), pathOf('rules.test.yml')];
    const told = tests.map((path) => readFileSync(path, 'utf8')).join('\n');
    const quoted = (alert: string): boolean => told.includes(`'${alert}'`) || told.includes(`alertname: ${alert}\n`);
    expect(alerts.map(({ alert }) => alert).filter((alert) => !quoted(alert))).toEqual([]);
    expect(alerts.length).toBeGreaterThan(20);
  });

  it('are explained, each alert, in docs/operations.md, where its runbook_url leads', () => {
    const text = readFileSync(join(DOCKER, '../docs/operations.md'), 'utf8');
    const headings = [...text.matchAll(/^#+ (Heliograph\w+)$/gm)].map(([, name = '']) => name);
    expect(headings.sort()).toEqual(alerts.map(({ alert }) => alert).sort());
    for (const { alert, annotations } of alerts)
      expect(annotations?.['runbook_url']).toBe(`docs/operations.md#${alert.toLowerCase()}`);
  });
});
