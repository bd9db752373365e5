import { isEmpty, isObject, type Part } from '../source/part.js';

/** A plugin and what it is limited to: the most specific one of a name is the one that runs. */
export interface PluginEntry {
  name: string;
  config: Part;
  at: Part;
  service?: string | undefined;
  route?: string | undefined;
  consumer?: string | undefined;
  group?: string | undefined;
}

export interface RouteEntry {
  key: string;
  service: string | undefined;
  at: Part;
}

export interface ServiceEntry {
  key: string;
  at: Part;
  routes: RouteEntry[];
}

export interface ConsumerEntry {
  key: string;
  at: Part;
  groups: string[];
}

export interface Entities {
  services: ServiceEntry[];
  consumers: ConsumerEntry[];
  upstreams: Map<string, Part>;
  plugins: PluginEntry[];
}

/** What says nothing that matters here, on whatever it stands. */
const COMMON = ['id', 'tags', 'created_at', 'updated_at', 'instance_name', 'ordering'];
const MISPLACED = 'it belongs to nothing that is in the file';
const SAY_WHERE = 'say in the file what it belongs to';

/** Finds what belongs to what, wherever a file says it: nested, or at its top with a reference. */
export class Gatherer {
  readonly entities: Entities = { services: [], consumers: [], upstreams: new Map(), plugins: [] };
  /** by their names and by their ids */
  private readonly services = new Map<string, ServiceEntry>();
  private readonly routes = new Map<string, string>();
  private readonly consumers = new Map<string, ConsumerEntry>();
  private readonly groups = new Map<string, string>();
  private count = 0;

  constructor(roots: readonly Part[]) {
    for (const root of roots) {
      root.skip('_format_version', '_info', '_transform', '_workspace', '_konnect', '_plugin_configs', '_comment');
      for (const at of root.at('services').items()) this.service(at);
      for (const at of root.at('upstreams').items()) this.upstream(at);
      for (const at of root.at('consumer_groups').items()) this.group(at);
    }
    for (const root of roots) {
      for (const at of root.at('routes').items()) this.route(at, this.services.get(referred(at.at('service')) ?? ''));
      for (const at of root.at('consumers').items()) this.consumer(at);
    }
    for (const root of roots) for (const at of root.at('plugins').items()) this.plugin(at, {});
    for (const [name, consumers] of this.members)
      for (const one of consumers) this.consumers.get(one)?.groups.push(name);
  }

  private readonly members = new Map<string, string[]>();

  private keyOf(at: Part, ...fields: string[]): { key: string; names: string[] } {
    at.skip(...COMMON.filter((name) => name !== 'id'));
    const names = [...fields, 'id'].flatMap((field) => at.at(field).text() ?? []);
    this.count += 1;
    return { key: names[0] ?? `#${this.count}`, names };
  }

  private service(at: Part): void {
    const { key, names } = this.keyOf(at, 'name');
    const entry: ServiceEntry = { key, at, routes: [] };
    this.entities.services.push(entry);
    for (const name of names) this.services.set(name, entry);
    for (const route of at.at('routes').items()) this.route(route, entry);
    for (const plugin of at.at('plugins').items()) this.plugin(plugin, { service: key });
  }

  private route(at: Part, service: ServiceEntry | undefined): void {
    const { key: name, names } = this.keyOf(at, 'name');
    const key = names.length > 0 ? name : `${service?.key ?? ''}/${name}`;
    for (const one of names) this.routes.set(one, key);
    at.skip('service');
    if (service) service.routes.push({ key, service: service.key, at });
    else at.lost('a route without a service has no upstream', 'make an API with a mock of it, if it is wanted');
    for (const plugin of at.at('plugins').items()) this.plugin(plugin, { service: service?.key, route: key });
  }

  private upstream(at: Part): void {
    const { key } = this.keyOf(at, 'name');
    this.entities.upstreams.set(key, at);
  }

  private consumer(at: Part): void {
    const { key, names } = this.keyOf(at, 'username', 'custom_id');
    for (const field of ['custom_id', 'tags'] as const)
      if (at.at(field).present && at.at(field).value !== key && !isEmpty(at.at(field).value))
        at.at(field).lost(
          'an application has a name and an owner, and no more',
          'keep it where you keep your customers',
        );
    const groups = at
      .at('groups')
      .items()
      .flatMap((group) => this.groups.get(referred(group) ?? '') ?? []);
    const entry: ConsumerEntry = { key, at, groups };
    this.entities.consumers.push(entry);
    for (const name of names) this.consumers.set(name, entry);
    for (const plugin of at.at('plugins').items()) this.plugin(plugin, { consumer: key });
  }

  private group(at: Part): void {
    const { key, names } = this.keyOf(at, 'name');
    for (const name of names) this.groups.set(name, key);
    const members = at
      .at('consumers')
      .items()
      .flatMap((one) => referred(one) ?? []);
    this.members.set(key, members);
    for (const plugin of at.at('plugins').items()) this.plugin(plugin, { group: key });
  }

  private plugin(at: Part, scope: Partial<PluginEntry>): void {
    at.skip(...COMMON, 'protocols', '_config', 'run_on');
    const name = at.at('name').text();
    if (!at.at('enabled').flag(true)) return at.skipAll();
    if (name === undefined) return at.lost('it has no name', 'mend the file and convert it again');
    const entry: PluginEntry = { name, at, config: at.at('config'), ...scope };
    const known = { service: this.services, route: this.routes, consumer: this.consumers, consumer_group: this.groups };
    for (const [field, names] of Object.entries(known)) {
      const part = at.at(field);
      const found = part.present ? names.get(referred(part) ?? '') : undefined;
      if (part.present && found === undefined) return at.lost(MISPLACED, SAY_WHERE);
      if (found === undefined) continue;
      entry[field === 'consumer_group' ? 'group' : (field as 'service')] =
        typeof found === 'string' ? found : found.key;
    }
    this.entities.plugins.push(entry);
  }
}

/** `service: weather`, `service: {name: weather}` or `{id: ...}`. */
function referred(part: Part): string | undefined {
  if (!isObject(part.value)) return part.text();
  part.skip('tags', 'created_at', 'updated_at');
  const names = ['name', 'username', 'custom_id', 'id'].flatMap((field) => part.at(field).text() ?? []);
  return names[0];
}

type Raw = Record<string, unknown>;

/**
 * Puts what `_info.defaults` and `_plugin_configs` say in its place, as decK does: a path that is not to be stripped may be
 * said to be so once for all routes.
 */
export function withDefaults(value: unknown): unknown {
  if (!isObject(value)) return value;
  const info = own(value, '_info');
  const defaults = isObject(info) ? own(info, 'defaults') : undefined;
  const filled = (kind: string, one: unknown): unknown => {
    const basis = isObject(defaults) ? own(defaults, kind) : undefined;
    return isObject(basis) && isObject(one) ? { ...basis, ...one } : one;
  };
  const shared = own(value, '_plugin_configs');
  const plugin = (one: unknown): unknown => {
    const name = isObject(one) ? own(one, '_config') : undefined;
    const basis = isObject(shared) && typeof name === 'string' ? own(shared, name) : undefined;
    if (!isObject(one) || !isObject(basis)) return one;
    const config = own(one, 'config');
    return { ...one, config: { ...basis, ...(isObject(config) ? config : {}) } };
  };
  const plugged = (one: unknown): unknown => replaced(one, { plugins: plugin });
  const route = (one: unknown): unknown => plugged(filled('route', one));
  return replaced(value, {
    plugins: plugin,
    routes: route,
    services: (one) => replaced(plugged(filled('service', one)), { routes: route }),
    upstreams: (one) => replaced(filled('upstream', one), { targets: (target) => filled('target', target) }),
    consumers: plugged,
    consumer_groups: plugged,
  });
}

/** A copy in which the items of some lists are replaced. */
function replaced(value: unknown, lists: Record<string, (item: unknown) => unknown>): unknown {
  if (!isObject(value)) return value;
  const copy: Raw = { ...value };
  for (const [key, replace] of Object.entries(lists)) {
    const list = own(value, key);
    if (Array.isArray(list)) copy[key] = list.map(replace);
  }
  return copy;
}

function own(value: Raw, key: string): unknown {
  return Object.hasOwn(value, key) ? value[key] : undefined;
}
