import type { Policies } from '#model';
import type { Window } from '../model/limits.js';
import type { Part } from '../source/part.js';
import type { PluginEntry } from './entities.js';

export type LimitBy = 'consumer' | 'address' | 'service';

export interface FoundLimits {
  windows: Window[];
  by: LimitBy;
  plugin: PluginEntry;
}

/** Groups of consumers that may, or may not. */
export interface Acl {
  allow: string[];
  deny: string[];
  at: Part;
}

export interface KeyPlaces {
  header: string | undefined;
  query: string | undefined;
  forward: boolean;
  at: Part;
}

/** What the plugins of a route come to. */
export interface Effects {
  key?: KeyPlaces;
  jwt?: Part;
  /** callers who show nothing go on as somebody */
  anonymous?: Part;
  /** plugins that kept callers out, or may have, and have no counterpart */
  guards: Part[];
  acl?: Acl;
  limits?: FoundLimits;
  policies: Policies;
}

/** The most specific entry of each name runs, as in Kong; entries for consumers are looked at with consumers. */
export function pluginsOf(entries: readonly PluginEntry[], service: string, route: string): PluginEntry[] {
  const chosen = new Map<string, { entry: PluginEntry; weight: number }>();
  for (const entry of entries) {
    if (entry.consumer !== undefined || entry.group !== undefined) continue;
    if (entry.service !== undefined && entry.service !== service) continue;
    if (entry.route !== undefined && entry.route !== route) continue;
    const weight = (entry.route === undefined ? 0 : 2) + (entry.service === undefined ? 0 : 1);
    const known = chosen.get(entry.name);
    if (!known || known.weight < weight) chosen.set(entry.name, { entry, weight });
  }
  return [...chosen.values()].map(({ entry }) => entry);
}
