import { parseArgs } from 'node:util';

/** Numbers from the command line: `--replicas 10`. `--help` prints what the script does and its defaults, and ends it. */
export function numbersFrom<T extends Record<string, number>>(about: string, defaults: T): T {
  const names = Object.keys(defaults);
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  const { values } = parseArgs({ options: { ...options, help: { type: 'boolean' } } });
  const given: Record<string, string | boolean | undefined> = values;
  if (given['help']) {
    const shown = Object.entries(defaults).map(([name, value]) => `  --${name} <number>, default ${value}`);
    process.stdout.write(`${[about.trim(), '', ...shown].join('\n')}\n`);
    process.exit(0);
  }
  const numbers = names.map((name) => {
    const text = given[name];
    const value = text === undefined ? (defaults[name] as number) : Number(text);
    if (!Number.isFinite(value) || value < 0)
      throw new RangeError(`--${name} must be a number, and is ${String(text)}`);
    return [name, value];
  });
  return Object.fromEntries(numbers) as T;
}

export const say = (text: string): void => void process.stdout.write(`${text}\n`);
