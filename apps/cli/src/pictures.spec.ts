import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Cli } from './cli.js';
import { environment } from './config/environment.js';
import { makeProgram } from './program.js';

const FOLDER = new URL('../../../docs/pictures/', import.meta.url);
const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

/** What was typed for each picture of a terminal: its title. */
const LINES = readdirSync(FOLDER)
  .map((name) => ({ name, title: /<title>(.*)<\/title>/.exec(readFileSync(new URL(name, FOLDER), 'utf8'))?.[1] ?? '' }))
  .filter(({ title }) => title.startsWith('helio '));

describe('pictures of terminals', () => {
  it('are there, and each is shown in the README', () => {
    expect(LINES.length).toBeGreaterThan(0);
    for (const { name } of LINES) expect(README).toContain(`](docs/pictures/${name})`);
  });

  it.each(LINES)('$name shows a command and options that there are', async ({ title }) => {
    const [name = '', ...words] = title.split(' ').slice(1);
    const program = await makeProgram(new Cli(environment({}), process), [name]);
    let command = program.commands.find((one) => one.name() === name);
    expect(command, name).toBeDefined();
    for (const word of words) {
      if (!word.startsWith('-')) command = command?.commands.find((one) => one.name() === word) ?? command;
      else
        expect(
          command?.options.some((one) => one.long === word || one.short === word),
          `${title}: ${word}`,
        ).toBe(true);
    }
  });
});
