import { slug } from '../model/names.js';
import type { Part } from '../source/part.js';
import { authOfClassic } from './classic-auth.js';
import { policiesOf, ttlOf } from './classic-policies.js';
import { readExtendedPaths } from './extended-paths.js';
import { limitedAsAWhole, targetsOf } from './targets.js';
import { newRules, type TykApi } from './tyk-api.js';

/** What says nothing that matters here, or only what Tyk keeps for itself. */
const KEPT_BY_TYK = [
  'id',
  'slug',
  'org_id',
  'tags',
  'tags_disabled',
  'do_not_track',
  'expire_analytics_after',
  'enable_detailed_recording',
  'detailed_tracing',
  'tag_headers',
  'session_lifetime',
  'session_provider',
  'auth_provider',
  'notifications',
  'dont_set_quota_on_create',
  'domain_disabled',
  'config_data_disabled',
  'upstream_certificates_disabled',
  'hook_references',
  'certificate_pinning_disabled',
  'custom_middleware_bundle_disabled',
  'enable_context_vars',
  'is_site',
  'sort_by',
  'user_group_owners',
  'user_owners',
  'basic_auth',
  'oauth_meta',
  'graphql',
  'created_at',
  'updated_at',
  'idp_client_id_mapping_disabled',
  'protocol',
  'ip_access_control_disabled',
];

const ENDS = 'nothing ends by itself';

/** One API, or one for each version where the path tells them apart. */
export function apisOfClassic(at: Part): TykApi[] {
  const name = at.at('name').text() ?? at.at('slug').text() ?? 'api';
  if (!at.at('active').flag(true) || at.at('internal').flag(false)) {
    at.lost('it is not active, or only for other APIs of Tyk', 'activate it, if callers are to reach it');
    return [];
  }
  if (at.at('graphql').at('enabled').flag(false)) {
    at.lost('GraphQL is not spoken here', 'publish the upstream as an API with one route');
    return [];
  }
  at.skip(...KEPT_BY_TYK);
  if (at.at('domain').present && at.at('domain').text() !== '')
    at.at('domain').changed('the path is served under every host', 'nothing, if all that reach a gateway may');
  limitedAsAWhole(at.at('global_rate_limit'));
  const auth = authOfClassic(at);
  const proxy = at.at('proxy');
  const base = {
    id: at.at('api_id').text(),
    name,
    listenPath: proxy.at('listen_path'),
    strip: proxy.at('strip_listen_path').flag(false),
    auth,
    at,
  };
  const targets = targetsOf(proxy);
  return versionsOf(at).map(({ version, data, below }) => {
    const policies = policiesOf(at, data);
    const override = data?.at('override_target').text();
    data?.skip(
      'name',
      'ignore_endpoint_case',
      'global_headers_disabled',
      'global_size_limit_disabled',
      'global_response_headers_disabled',
    );
    const rules = newRules();
    if (data) readExtendedPaths(data, rules, ttlOf(at));
    if (data?.at('expires').text()) data.at('expires').lost(ENDS, 'take its placements away when it ends');
    return { ...base, version, below, policies, rules, targets: override ? [{ url: override }] : targets };
  });
}

interface Version {
  version: string | undefined;
  data: Part | undefined;
  below: string[];
}

function versionsOf(at: Part): Version[] {
  const all = at.at('version_data');
  const versions = all.at('versions').fields();
  const definition = at.at('definition');
  definition.skip(
    'default',
    'name',
    'enabled',
    'fallback_to_default',
    'strip_path',
    'strip_versioning_data',
    'url_versioning_pattern',
    'key',
  );
  const location = definition.at('location').text() ?? '';
  const [first] = versions;
  if (all.at('not_versioned').flag(true) || versions.length <= 1) {
    all.skip('default_version');
    return [{ version: undefined, data: first?.[1], below: [] }];
  }
  if (location === 'url') {
    all.skip('default_version');
    all.changed(
      'each version is an API of its own, and the version is not in what goes upstream',
      'put it into the path of the target where the upstream wants it',
    );
    return versions.map(([name, data]) => ({ version: slug(name, 32) || undefined, data, below: [name] }));
  }
  const chosen = all.at('default_version').text() ?? '';
  const kept = versions.find(([name]) => name === chosen) ?? first;
  for (const [name, data] of versions)
    if (name !== kept?.[0])
      data.lost('versions are told apart by their path, not by a header or the query', 'make it an API of its own');
  return [{ version: undefined, data: kept?.[1], below: [] }];
}
