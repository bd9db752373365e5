import { isDeepStrictEqual } from 'node:util';
import { limitSettings } from './limit-settings.js';
import { type Settings, settings } from './settings.js';
import { traceSettings } from './trace-settings.js';

/** What new gateway workers are given; everything else is of a process that goes on. */
const RENEWED = new Set([
  'HELIO_WORKERS',
  'HELIO_ACCESS_LOG',
  'HELIO_CACHE_MB',
  'HELIO_UPSTREAM_CERTIFICATES',
  ...Object.keys(limitSettings),
  ...Object.keys(traceSettings),
]);

/**
 * Names, without values: some are secrets.
 *
 * @param atStart what this process began with
 * @param before what the workers had until now
 */
export function changedSettings(
  atStart: Settings,
  before: Settings,
  now: Settings,
): { taken: string[]; waiting: string[] } {
  const names = Object.keys(settings.shape) as (keyof Settings)[];
  const differ = (other: Settings) => (name: keyof Settings) => !isDeepStrictEqual(other[name], now[name]);
  return {
    taken: names.filter((name) => RENEWED.has(name)).filter(differ(before)),
    waiting: names.filter((name) => !RENEWED.has(name)).filter(differ(atStart)),
  };
}
