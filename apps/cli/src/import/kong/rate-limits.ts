import type { Window } from '../model/limits.js';
import type { Part } from '../source/part.js';
import type { Effects, FoundLimits, LimitBy } from './effects.js';
import type { PluginEntry } from './entities.js';

const PERIODS = { second: 1, minute: 60, hour: 3600, day: 86_400, month: 2_592_000, year: 31_536_000 };
/** How counters are kept, which is another matter here. */
const COUNTING = [
  'policy',
  'fault_tolerant',
  'hide_client_headers',
  'redis',
  'redis_host',
  'redis_port',
  'redis_password',
  'redis_username',
  'redis_database',
  'redis_timeout',
  'redis_ssl',
  'redis_ssl_verify',
  'redis_server_name',
  'sync_rate',
  'namespace',
  'strategy',
  'dictionary_name',
  'window_type',
  'retry_after_jitter_max',
  'error_code',
  'error_message',
  'disable_penalty',
  'lock_dictionary_name',
];

const BY: Partial<Record<string, LimitBy>> = {
  consumer: 'consumer',
  credential: 'consumer',
  'consumer-group': 'consumer',
  ip: 'address',
  service: 'service',
};

/** Of a plugin of either name; both at once would be two rates. */
export function limitsFound(effects: Effects, plugin: PluginEntry): void {
  const limits = limitsIn(plugin);
  if (!limits) return;
  if (effects.limits) plugin.at.lost('a plan has one rate and one quota', 'set the stricter one in the plan');
  else effects.limits = limits;
}

export function limitsIn(plugin: PluginEntry): FoundLimits | null {
  const { config } = plugin;
  config.skip(...COUNTING);
  const by = config.at(plugin.name === 'rate-limiting' ? 'limit_by' : 'identifier');
  const text = by.text() ?? 'consumer';
  const known = BY[text];
  if (!known)
    by.changed('limits are of a subscription, or of an address where a route is open', 'see plans in definition.md');
  else if (text === 'credential')
    by.changed('all credentials of an application share its limits', 'nothing, if each consumer has one');
  const windows = plugin.name === 'rate-limiting' ? periods(config) : advanced(config);
  return windows.length > 0 ? { windows, by: known ?? 'consumer', plugin } : null;
}

export function isRateLimit(name: string): boolean {
  return name === 'rate-limiting' || name === 'rate-limiting-advanced';
}

function periods(config: Part): Window[] {
  return Object.entries(PERIODS).flatMap(([name, seconds]) => {
    const at = config.at(name);
    const limit = at.number();
    return limit === undefined ? [] : [{ limit, seconds, at }];
  });
}

function advanced(config: Part): Window[] {
  const sizes = config.at('window_size').items();
  const limits = config.at('limit').items();
  return limits.flatMap((at, index) => {
    const limit = at.number();
    const seconds = sizes[index]?.number();
    return limit === undefined || seconds === undefined ? [] : [{ limit, seconds, at }];
  });
}
