import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { CliError } from '../exit.js';
import { makeDirectory } from '../output/make-directory.js';
import type { Converted } from './model/converted.js';
import { reportOf } from './report.js';

export const REPORT = 'REPORT.md';
export const CONSUMERS = 'consumers.ndjson';

/**
 * Writes documents for `helio apply`, lines for `helio import` and the report. Into an empty directory: what an earlier
 * conversion has left there would be applied with it.
 *
 * @throws CliError where the directory is not empty, or cannot be written
 */
export function writeConverted({ apis, plans, lines, notes }: Converted, directory: string, made: string): void {
  try {
    makeDirectory(resolve(directory));
    if (readdirSync(directory).length > 0)
      throw new CliError(`${directory} is not empty`, { exit: 'usage', next: 'Name a new directory.' });
    const write = (name: string, text: string): void => writeFileSync(join(directory, name), text, { flag: 'wx' });
    const yaml = (document: object): string => stringify(document, { lineWidth: 0, aliasDuplicateObjects: false });
    if (plans.length > 0) write('plans.yaml', plans.map((plan) => yaml({ kind: 'plan', ...plan })).join('---\n'));
    if (apis.length > 0) mkdirSync(join(directory, 'apis'));
    for (const api of apis) write(join('apis', `${api.name}-${api.version}.yaml`), yaml(api));
    if (lines.length > 0) write(CONSUMERS, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    write(REPORT, reportOf(notes, made));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${directory} cannot be written: ${(error as Error).message}`, { exit: 'usage', cause: error });
  }
}
