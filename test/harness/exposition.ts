export interface Family {
  type: string;
  help: string;
  /** by name and labels, exactly as they are written */
  samples: Map<string, number>;
  labels: Record<string, string>[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
/** A label, its value escaped, and what follows. */
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/;
const VALUE = /^(?:[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|NaN|[+-]Inf)$/;

/**
 * Reads the text format of Prometheus more strictly than Prometheus does: HELP, TYPE and all samples of a family in one
 * place, no series twice, escapes as they are defined, names as the conventions want them, histograms that add up.
 *
 * @throws Error that shows the line
 */
export function readExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  if (!text.endsWith('\n')) throw new Error('the text does not end with a line break');
  let helped: [string, string] | null = null;
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const wrong = (why: string): Error => new Error(`${why}: ${line}`);
    if (line === '') continue; // between the texts of several registries
    const [hash, word, name = '', ...rest] = line.split(' ');
    if (hash === '#' && word === 'HELP') {
      if (families.has(name) || !NAME.test(name) || rest.join(' ') === '') throw wrong('a HELP that is not right here');
      helped = [name, rest.join(' ')];
    } else if (hash === '#' && word === 'TYPE') {
      if (helped?.[0] !== name) throw wrong('a TYPE without its HELP');
      const type = rest.join(' ');
      if (!['counter', 'gauge', 'histogram'].includes(type)) throw wrong('not a type that we use');
      if ((type === 'counter') !== name.endsWith('_total')) throw wrong('counters, and nothing else, end with _total');
      families.set((current = name), { type, help: helped[1], samples: new Map(), labels: [] });
      helped = null;
    } else {
      const family = families.get(current);
      if (!family || helped) throw wrong('a sample outside of its family');
      readSample(line, current, family, wrong);
    }
  }
  for (const [name, family] of families) if (family.type === 'histogram') checkHistogram(name, family);
  return families;
}

function readSample(line: string, name: string, family: Family, wrong: (why: string) => Error): void {
  const [, own = '', labelText = '', value = ''] = SAMPLE.exec(line) ?? [];
  const names = family.type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
  if (!names.includes(own)) throw wrong(`a sample that is not one of ${name}`);
  if (!VALUE.test(value)) throw wrong('not a value');
  const labels: Record<string, string> = {};
  for (let rest = labelText; rest !== ''; ) {
    const [whole, label, text] = LABEL.exec(rest) ?? [];
    if (whole === undefined || label === undefined || label in labels) throw wrong('labels that cannot be read');
    labels[label] = text ?? '';
    rest = rest.slice(whole.length);
  }
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const series = `${own}{${sorted.map(([label, text]) => `${label}="${text}"`).join(',')}}`;
  if (family.samples.has(series)) throw wrong('a series twice');
  family.samples.set(series, value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value));
  family.labels.push(labels);
}

function checkHistogram(name: string, { samples }: Family): void {
  const groups = new Map<string, { below: number; count: number; last: number }>();
  for (const [series, count] of samples) {
    if (!series.startsWith(`${name}_bucket`)) continue;
    const [, bound = ''] = /le="([^"]*)"/.exec(series) ?? [];
    const le = bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound);
    const key = series
      .slice(`${name}_bucket`.length)
      .replace(/,?le="[^"]*"/, '')
      .replace('{,', '{');
    const group = groups.get(key) ?? { below: Number.NEGATIVE_INFINITY, count: 0, last: 0 };
    if (bound === '' || !(le > group.below) || count < group.count)
      throw new Error(`buckets that do not grow: ${series}`);
    groups.set(key, { below: le, count, last: count });
  }
  for (const [key, { below, last }] of groups)
    if (below !== Number.POSITIVE_INFINITY || samples.get(`${name}_count${key}`) !== last)
      throw new Error(`a histogram whose last bucket is not its count: ${name}${key}`);
}
