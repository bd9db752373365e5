import { type Command, Option } from 'commander';
import type { Tone } from './style.js';

const FORMATS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type Format = (typeof FORMATS)[number];

export interface Column<T> {
  title: string;
  of: (item: T) => unknown;
  /** only with `-o wide` */
  wide?: boolean;
  /** left out where no item has anything there */
  optional?: boolean;
  tone?: (item: T) => Tone | undefined;
}

/** What a command has to show: several items as a table, or one, which has room for all it says and is shown as YAML. */
export type View<T> = (
  | { item: T; items?: undefined; columns?: undefined }
  | { items: readonly T[]; item?: undefined; columns: readonly Column<T>[] }
) & {
  /** what the item is called in other commands */
  name: (item: T) => string;
};

/** Adds `-o`. */
export function outputOption(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how to show it').choices(FORMATS).default('table', 'table'),
  );
}
