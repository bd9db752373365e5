import { limitsOf, type Plans, type Window } from '../model/limits.js';
import { isObject, type Part } from '../source/part.js';

/** The plans that policies come to, by the APIs that they give access to. */
export class PolicyPlans {
  private readonly ofApi = new Map<string, string[]>();
  private found = false;

  constructor(private readonly plans: Plans) {}

  /** Whether there were any. */
  get any(): boolean {
    return this.found;
  }

  of(api: string | undefined): string[] {
    return (api === undefined ? undefined : this.ofApi.get(api)) ?? [];
  }

  add(at: Part, key: string | undefined): void {
    this.found = true;
    at.skip(
      '_id',
      'id',
      'org_id',
      'last_updated',
      'tags',
      'partitions',
      'key_expires_in',
      'state',
      'last_check',
      'last_updated',
    );
    if (!at.at('active').flag(true) || at.at('is_inactive').flag(false)) {
      at.lost('it is not active', 'activate it, if it is wanted');
      return;
    }
    const name = at.at('name').text() ?? key ?? 'policy';
    const limits = limitsOf(windowsIn(at));
    const plan = this.plans.of(limits, name);
    for (const field of ['throttle_retry_limit', 'max_query_depth', 'throttle_interval'])
      if ((at.at(field).number() ?? 0) <= 0) at.skip(field);
    for (const [id, access] of at.at('access_rights').fields()) {
      access.skip('api_name', 'api_id', 'versions', 'allowance_scope');
      if (access.at('allowed_urls').items().length > 0)
        access
          .at('allowed_urls')
          .lost('a subscription is to the whole API', 'ask for scopes on routes that not everybody may use');
      const own = access.at('limit');
      const plans = this.ofApi.get(id) ?? [];
      const windows = isObject(own.value) ? windowsIn(own) : [];
      own.skip(
        'throttle_interval',
        'throttle_retry_limit',
        'max_query_depth',
        'quota_renews',
        'quota_remaining',
        'set_by_policy',
      );
      plans.push(windows.length > 0 ? this.plans.of(limitsOf(windows), `${name} ${id}`) : plan);
      this.ofApi.set(id, [...new Set(plans)]);
    }
    if (at.at('access_rights').fields().length === 0)
      at.lost('it gives access to no API', 'name APIs in it, or leave it');
  }
}

/** `rate` in `per` seconds, and `quota_max` until it is renewed; -1 and 0 are none. */
function windowsIn(at: Part): Window[] {
  const windows: Window[] = [];
  for (const [limit, seconds] of [
    ['rate', 'per'],
    ['quota_max', 'quota_renewal_rate'],
  ] as const) {
    const count = at.at(limit).number() ?? 0;
    const period = at.at(seconds).number() ?? 0;
    if (count > 0 && period > 0) windows.push({ limit: count, seconds: period, at: at.at(limit) });
  }
  at.skip('rate', 'per', 'quota_max', 'quota_renewal_rate', 'smoothing');
  return windows;
}
