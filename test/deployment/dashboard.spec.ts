import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { describeWith, promtool } from '#harness';

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  datasource?: object;
  gridPos: { x: number; y: number; w: number; h: number };
  fieldConfig?: { defaults: { unit?: string } };
  targets?: { refId: string; expr: string; datasource: object }[];
}

interface Dashboard {
  panels: Panel[];
  templating: { list: { name: string }[] };
}

const file = new URL('../../docker/grafana/heliograph.json', import.meta.url);
const { panels, templating } = JSON.parse(readFileSync(file, 'utf8')) as Dashboard;
const graphs = panels.filter(({ type }) => type !== 'row');
const queries = graphs.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
const SOURCE = { type: 'prometheus', uid: '${datasource}' };

describe('the dashboard', () => {
  it.each(graphs.map((panel) => [panel.title, panel] as const))(
    'says of "%s" what it is, in which unit',
    (_, panel) => {
      expect(panel.description).toMatch(/\S.*[.?]$/);
      expect(panel.fieldConfig?.defaults.unit).toMatch(/^\w+$/);
    },
  );

  it('asks the Prometheus that is chosen, in every query', () => {
    for (const { title, datasource, targets = [] } of graphs) {
      expect([title, targets.length]).not.toEqual([title, 0]);
      expect([title, datasource, ...targets.map((target) => target.datasource)]).toEqual([
        title,
        ...Array(targets.length + 1).fill(SOURCE),
      ]);
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
    }
    const known = new Set([...templating.list.map(({ name }) => name), '__rate_interval']);
    const used = queries.flatMap((query) => [...query.matchAll(/\$\{?(\w+)/g)].map(([, name = '']) => name));
    expect(used.filter((name) => !known.has(name))).toEqual([]);
  });

  it('has each panel once, and none on top of another', () => {
    for (const key of ['id', 'title'] as const)
      expect(new Set(panels.map((panel) => panel[key])).size).toBe(panels.length);
    const taken = new Map<string, string>();
    for (const { title, gridPos } of panels) {
      expect([title, gridPos.x + gridPos.w <= 24]).toEqual([title, true]);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, taken.get(`${x} ${y}`)]).toEqual([title, undefined]);
          taken.set(`${x} ${y}`, title);
        }
    }
  });
});

describeWith('prometheus', 'the queries of the dashboard', () => {
  const check = (all: readonly string[]): string => {
    const rules = all.map((query, at) => ({
      record: `query:${at}`,
      expr: query.replaceAll('$__rate_interval', '5m').replaceAll('$region', '.*'),
    }));
    const path = join(mkdtempSync(join(tmpdir(), 'heliograph-dashboard-')), 'queries.yml');
    writeFileSync(path, stringify({ groups: [{ name: 'dashboard', rules }] }));
    return promtool('check', 'rules', path);
  };

  it('are queries to Prometheus', () => {
    expect(check(queries)).toContain(`SUCCESS: ${queries.length} rules found`);
  });

  it('would not be, if one were spelt wrong', () => {
    expect(() => check([...queries, 'sum by (region (up)'])).toThrow(/query:/);
  });
});
