import { createHash } from 'node:crypto';
import { ipList, lineOfText } from '#model';
import type { ImportLine } from '../model/converted.js';
import type { Plans } from '../model/limits.js';
import { isComputed } from '../model/policies.js';
import type { Part } from '../source/part.js';
import { type KongApi, planOf } from './api-of-group.js';
import type { ConsumerEntry, Entities, PluginEntry } from './entities.js';
import { isRateLimit, limitsIn } from './rate-limits.js';

const MOST_PLANS = 64;
const KEY = /^[\x21-\x7e]{1,512}$/;
const SHORT_KEY = 16;
const nameOfApplication = lineOfText(200);

/** Credentials that gateways do not check, with what is there instead. */
const OTHERS: readonly (readonly [field: string, todo: string])[] = [
  ['jwt_secrets', 'register the issuer of its tokens and bind the client to the application, or issue an OAuth client'],
  ['basicauth_credentials', 'issue a key, or an OAuth client'],
  ['hmacauth_credentials', 'issue a key, or an OAuth client'],
  ['oauth2_credentials', 'issue an OAuth client: POST /v1/applications/:id/clients'],
  ['mtls_auth_credentials', 'issue a key'],
];

/** Writes consumers as applications with what each may use, on which plan. Plans that only they have come into the APIs. */
export class Consumers {
  private readonly planOfEntry = new Map<PluginEntry, string | null>();
  private readonly ofConsumer: Map<string | undefined, PluginEntry[]>;
  private readonly ofGroup: Map<string | undefined, PluginEntry[]>;

  constructor(
    private readonly entities: Entities,
    private readonly apis: readonly KongApi[],
    private readonly plans: Plans,
    private readonly environment: string,
  ) {
    this.ofConsumer = grouped(entities.plugins, ({ consumer }) => consumer);
    this.ofGroup = grouped(entities.plugins, ({ group }) => group);
  }

  lines(): ImportLine[] {
    const lines = this.entities.consumers.flatMap((consumer) => this.linesOf(consumer));
    for (const plugin of this.entities.plugins)
      if (plugin.consumer !== undefined || plugin.group !== undefined) this.leftOver(plugin);
    return lines;
  }

  private leftOver(plugin: PluginEntry): void {
    const { name, at, route } = plugin;
    if (isRateLimit(name) && route !== undefined)
      at.lost('a plan has the same limits for each route', 'set them in a plan of their own');
    else if (isRateLimit(name) && !this.planOfEntry.has(plugin))
      at.lost('nobody whom it is for is subscribed to anything', 'make a plan of it when it is needed');
    else if (!isRateLimit(name) && !HANDLED.has(name))
      at.lost('only limits and addresses are of single consumers here', 'see whether it is still wanted');
  }

  private linesOf(consumer: ConsumerEntry): ImportLine[] {
    const { at, key } = consumer;
    at.skip('custom_id', 'groups');
    const acls = at.at('acls').items();
    for (const acl of acls) acl.skip('id', 'tags', 'created_at', 'consumer');
    const groups = acls.flatMap((acl) => acl.at('group').text() ?? []);
    const own = [
      this.ofConsumer.get(key) ?? [],
      ...consumer.groups.map((group) => this.ofGroup.get(group) ?? []),
    ].flat();
    const ended = own.find(({ name }) => name === 'request-termination');
    if (ended) {
      ended.at.closed(
        'every request of this consumer was refused: it is left out',
        'register them when they may come back',
      );
      at.skipAll();
      return [];
    }
    if (!nameOfApplication.safeParse(key).success) {
      at.lost('the name of an application is a line of at most 200 characters', 'give the consumer another name');
      return [];
    }
    const keys = this.keysOf(consumer, groups, own);
    const tokens = at.at('jwt_secrets').items().length > 0;
    for (const [field, todo] of OTHERS)
      if (at.at(field).items().length > 0) at.at(field).lost('credentials of this kind cannot be brought along', todo);
    const subscriptions = this.apis.flatMap((api): ImportLine[] => {
      const { takes } = api;
      if (!(takes.key && keys.length > 0) && !(takes.jwt && tokens)) return [];
      if (api.acl && !admitted(api.acl, groups)) return [];
      return [
        {
          kind: 'subscription',
          application: key,
          api: `${api.draft.name}:${api.draft.version}`,
          plan: this.planFor(consumer, api),
        },
      ];
    });
    return [{ kind: 'application', id: key, name: key }, ...subscriptions, ...keys];
  }

  /** As Kong ranks them: what says more about a consumer and a service comes first. */
  private planFor({ key, groups }: ConsumerEntry, api: KongApi): string {
    const rank = ({ consumer, service }: PluginEntry): number =>
      (consumer === undefined ? 0 : 1) + (service === undefined ? 0 : 2);
    const [plugin] = [this.ofConsumer.get(key) ?? [], ...groups.map((group) => this.ofGroup.get(group) ?? [])]
      .flat()
      .filter(({ name, route }) => isRateLimit(name) && route === undefined)
      .filter(({ service }) => service === undefined || service === api.service)
      .sort((a, b) => rank(b) - rank(a));
    const plan = plugin && this.planOfPlugin(plugin);
    if (!plan) return api.plan;
    if (!api.draft.plans.includes(plan)) {
      if (api.draft.plans.length >= MOST_PLANS) {
        plugin.at.lost(
          `an API has at most ${MOST_PLANS} plans: it is on the plan of all others`,
          'bring consumers together in fewer plans',
        );
        return api.plan;
      }
      api.draft.plans.push(plan);
    }
    return plan;
  }

  private planOfPlugin(plugin: PluginEntry): string | null {
    const known = this.planOfEntry.get(plugin);
    if (known !== undefined) return known;
    const limits = limitsIn(plugin);
    const plan = limits && this.plans.of(planOf(limits), plugin.group ?? plugin.consumer);
    this.planOfEntry.set(plugin, plan);
    return plan;
  }

  private keysOf(
    { at, key: application }: ConsumerEntry,
    groups: readonly string[],
    own: readonly PluginEntry[],
  ): ImportLine[] {
    const used = new Set(this.apis.flatMap(({ scopes }) => scopes));
    const scopes = [...new Set(groups)].filter((group) => used.has(group));
    const ips = addressesOf(own);
    if (ips === 'nobody') {
      at.skip('keyauth_credentials');
      return [];
    }
    return at
      .at('keyauth_credentials')
      .items()
      .flatMap((credential): ImportLine[] => {
        const sha256 = hashOf(credential);
        if (sha256 === null) return [];
        const expiresAt = endOf(credential);
        if (expiresAt === null) return [];
        return [
          {
            kind: 'key',
            application,
            environment: this.environment,
            sha256,
            ...(scopes.length > 0 ? { scopes } : {}),
            ...(ips ? { ips } : {}),
            ...(expiresAt === undefined ? {} : { expiresAt }),
          },
        ];
      });
  }
}

const HANDLED = new Set(['request-termination', 'ip-restriction']);

function admitted({ allow, deny }: { allow: string[]; deny: string[] }, groups: readonly string[]): boolean {
  if (deny.some((group) => groups.includes(group))) return false;
  return allow.length === 0 || allow.some((group) => groups.includes(group));
}

/** Whom `ip-restriction` lets use the keys of a consumer. */
function addressesOf(own: readonly PluginEntry[]): string[] | undefined | 'nobody' {
  const plugin = own.find(({ name }) => name === 'ip-restriction');
  if (!plugin) return undefined;
  const { config } = plugin;
  const allow = [...config.at('allow').texts(), ...config.at('whitelist').texts()];
  const scoped = plugin.service !== undefined || plugin.route !== undefined;
  const denied = config.at('deny').present || config.at('blacklist').present;
  if (!scoped && !denied && ipList.safeParse(allow).success) return allow;
  plugin.at.closed(
    'a key says from where it may be used, and not from where it may not: these keys are left out',
    'issue keys with `ips`',
  );
  return 'nobody';
}

/** @returns null where there is nothing to be hashed; the key itself goes no further */
function hashOf(credential: Part): string | null {
  credential.skip('id', 'tags', 'created_at', 'consumer');
  const at = credential.at('key');
  const key = at.text();
  if (key === undefined || isComputed(key) || !KEY.test(key)) {
    credential.lost('it is no key in plain text', 'put the key itself into the file, or issue a new one');
    return null;
  }
  if (key.length < SHORT_KEY)
    at.changed(`a key of fewer than ${SHORT_KEY} characters can be guessed; it goes on working`, 'rotate it soon');
  return createHash('sha256').update(key, 'utf8').digest('hex');
}

/** @returns undefined for a key that never ends, null for one of which it is not known when */
function endOf(credential: Part): string | undefined | null {
  const ttl = credential.at('ttl').number() ?? 0;
  if (ttl <= 0) return undefined;
  const created = credential.at('created_at').number();
  const end = created === undefined ? undefined : new Date((created + ttl) * 1000);
  if (end && !Number.isNaN(end.getTime())) return end.toISOString();
  credential.closed(
    'it ends after a time, and the file does not say since when: it is left out',
    'issue a key with an end',
  );
  return null;
}

function grouped<T>(list: readonly T[], keyOf: (item: T) => string | undefined): Map<string | undefined, T[]> {
  const groups = new Map<string | undefined, T[]>();
  for (const item of list) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
