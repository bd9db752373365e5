import type { Faults } from './faults.js';
import { describe, type JsonObject, own } from './place.js';

const MAX_NAME = 64;
const MAX_VERSION = 32;

/** What `info.title` or `info.version` says; YAML makes numbers of versions that are not in quotes. */
export function infoText(root: JsonObject, field: 'title' | 'version'): string {
  const value = own(own(root, 'info'), field);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** `GitHub's API` gives `githubs-api`. */
export function nameOf(root: JsonObject, faults: Faults): string {
  const name = slug(infoText(root, 'title'), MAX_NAME, /[^a-z0-9]+/g);
  if (name === '')
    faults.add(
      ['info', 'title'],
      `is ${describe(own(own(root, 'info'), 'title'))}, which gives no name`,
      'a title with letters or digits (a-z, 0-9); or give `name` with the import',
    );
  return name;
}

/** `1.4.2` gives `v1`, and what does not begin with a number, itself: `beta`. */
export function versionOf(root: JsonObject, faults: Faults): string {
  const text = infoText(root, 'version');
  const major = /^\s*v?0*(\d{1,9})(?![\da-z])/i.exec(text)?.[1];
  if (major !== undefined) return `v${major}`;
  const version = slug(text, MAX_VERSION, /[^a-z0-9._]+/g);
  if (version === '')
    faults.add(
      ['info', 'version'],
      `is ${describe(own(own(root, 'info'), 'version'))}, which gives no version`,
      'a version like 1.0.0; or give `version` with the import',
    );
  return version;
}

function slug(text: string, max: number, other: RegExp): string {
  return text
    .slice(0, 1000)
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\p{M}'’]/gu, '')
    .replace(other, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, max)
    .replace(/[^a-z0-9]+$/, '');
}
