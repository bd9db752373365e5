export type Labels = Readonly<Record<string, string>>;

/** Writes the text format of Prometheus (0.0.4): each family once, its samples below it. */
export class Exposition {
  text = '';
  private readonly common: string;

  /** @param common labels that every sample gets, behind its own */
  constructor(common: Labels) {
    this.common = textOf(common);
  }

  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): void {
    this.text += `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n`;
  }

  sample(name: string, value: number, labels?: Labels): void {
    this.line(name, labels ? textOf(labels) : '', value);
  }

  /** A family with one sample. */
  single(name: string, type: 'counter' | 'gauge', help: string, value: number): void {
    this.family(name, type, help);
    this.sample(name, value);
  }

  /** @param counts of each bucket alone, and at the end of what is above all bounds */
  histogram(name: string, help: string, bounds: readonly number[], counts: readonly number[], sum: number): void {
    this.family(name, 'histogram', help);
    let count = 0;
    for (const [i, own] of counts.entries()) {
      count += own;
      this.sample(`${name}_bucket`, count, { le: i < bounds.length ? String(bounds[i]) : '+Inf' });
    }
    this.sample(`${name}_sum`, sum);
    this.sample(`${name}_count`, count);
  }

  private line(name: string, own: string, value: number): void {
    const comma = own !== '' && this.common !== '' ? ',' : '';
    const labels = own + comma + this.common;
    this.text += labels === '' ? `${name} ${value}\n` : `${name}{${labels}} ${value}\n`;
  }
}

function textOf(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');
}

function escaped(value: string): string {
  return /[\\"\n]/.test(value) ? value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n') : value;
}
