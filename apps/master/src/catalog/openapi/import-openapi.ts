import { z } from 'zod';
import { type Definition, definition, fail, MAX_ROUTES } from '#model';
import { faultsOf } from '#platform';
import { Faults } from './faults.js';
import type { ImportReport } from './import-report.js';
import { infoText, nameOf, versionOf } from './naming.js';
import { countNotUsed, NotUsed } from './not-used.js';
import { collectOperations } from './operations.js';
import { PathItems } from './path-items.js';
import { own, shorten } from './place.js';
import { readSource } from './read-source.js';
import { makeRoutes, type OpenOperations } from './routes.js';
import { chooseServer } from './servers.js';
import { TokenNeeds } from './token-needs.js';
import { supportedVersion } from './version.js';
import { Warnings, warnOfApiKeys } from './warnings.js';

const MAX_TITLE = 300;

const { routes: _routes, ...otherFields } = definition.shape;

/** What comes with the document: any field of the definition but its routes. It comes before what the document says. */
export const importOverrides = z.strictObject(otherFields).partial().extend({
  /** whether operations that the document leaves open (`security` is empty or has `{}` in it) get open routes */
  honourOpenOperations: z.boolean().optional(),
  /** whether operations that ask for OAuth 2.0, OpenID Connect or bearer tokens get routes that take tokens with these scopes */
  honourTokens: z.boolean().optional(),
});
export type ImportOverrides = z.infer<typeof importOverrides>;

export interface ImportedApi {
  definition: Definition;
  report: ImportReport;
}

/**
 * Makes a definition of an OpenAPI 3.0 or 3.1 document. Each operation has a route that matches it; the order of the
 * document does not matter, nor whether it is JSON or YAML.
 *
 * Safe by default: every route asks for a key, whatever the document's `security` says, unless `security` or
 * `honourOpenOperations` says otherwise; and where the route takes more than the document says, `honourOpenOperations`
 * opens nothing. With `honourTokens`, routes take tokens where the document asks for some, and require its scopes. API keys of the document name where *its upstream* looks for *its* keys, so the report tells them, and
 * only `credential` makes the gateway look there (and take what it finds out of the request).
 *
 * Without overrides, the name is info.title as a slug, the version is `v` and the major number of info.version, the
 * context is `/<name>/<version>`, the upstream is the first absolute server, and there are no plans.
 *
 * Reads and computes only: nothing is fetched, no time is read. Blocks for about 12 ms per MB of JSON and 300 ms per MB
 * of YAML.
 *
 * @param document JSON or YAML text, its bytes in UTF-8, or what JSON.parse made of it; the caller bounds its size
 * @throws HelioError `openapi_invalid` with each faulty place of the document; `definition_invalid` for faulty overrides
 */
export function importOpenApi(document: string | Uint8Array | object, overrides: ImportOverrides = {}): ImportedApi {
  const { root, linesOf } = readSource(document);
  const openapi = supportedVersion(root);
  const { honourOpenOperations, honourTokens, ...given } = overrides;
  const security = given.security ?? 'key';
  const plans = given.plans ?? [];
  const faults = new Faults();
  const warnings = new Warnings();
  const notUsed = new NotUsed();

  const items = new PathItems(root, faults);
  const operations = collectOperations(root, items, faults, warnings);
  const openOperations: OpenOperations = security === 'open' ? 'leave' : honourOpenOperations ? 'honour' : 'warn';
  const needs = security === 'open' ? null : new TokenNeeds(root, honourTokens === true, warnings);
  const made = makeRoutes(root, operations.all, openOperations, needs, warnings);
  if (made.routes.length > MAX_ROUTES) {
    faults.add(['paths'], `gives ${made.routes.length} routes`, `at most ${MAX_ROUTES}; make several APIs of it`);
  }
  const servers = own(root, 'servers');
  const server = given.upstream ? undefined : chooseServer(servers, faults, notUsed, warnings);
  const name = given.name ?? nameOf(root, faults);
  const version = given.version ?? versionOf(root, faults);
  faults.throwIfAny(linesOf);

  const parsed = definition.safeParse({
    ...given,
    name,
    version,
    context: given.context ?? `/${name}/${version}`,
    routes: made.routes,
    upstream: given.upstream ?? (server && { targets: [{ url: server.url }] }),
    security,
    plans,
  });
  if (!parsed.success) {
    const detail = 'The definition that the document and the fields beside it give is not valid.';
    throw fail('definition_invalid', detail, { fields: faultsOf(parsed.error) });
  }

  if (plans.length === 0) warnings.add('no plan', ['plans']);
  if (!given.credential) warnOfApiKeys(root, warnings);
  if (given.name !== undefined) notUsed.add('fields that the request gives itself', ['info', 'title']);
  if (given.version !== undefined) notUsed.add('fields that the request gives itself', ['info', 'version']);
  if (given.upstream && servers !== undefined) notUsed.add('fields that the request gives itself', ['servers']);
  countNotUsed(root, items.referred, needs?.used ?? new Set(), notUsed);
  const used = [
    { where: 'info.title', as: 'name', count: given.name === undefined ? 1 : 0 },
    { where: 'info.version', as: 'version', count: given.version === undefined ? 1 : 0 },
    { where: `servers[${server?.index}].url`, as: 'upstream.targets[0].url', count: server ? 1 : 0 },
    { where: 'paths', as: 'routes', count: operations.all.length },
    { where: 'paths', as: 'routes[].path, percent-encoded', count: operations.encoded },
    { where: 'operationId', as: 'routes[].id', count: made.ids },
    { where: 'security', as: 'routes[].security: open', count: made.opened },
    { where: 'security', as: 'routes[].security and scopes', count: made.tokens },
  ];
  const report: ImportReport = {
    openapi,
    title: shorten(infoText(root, 'title'), MAX_TITLE),
    operations: operations.all.length,
    routes: made.routes.length,
    used: used.filter(({ count }) => count > 0),
    notUsed: notUsed.notes(),
    widened: operations.widened,
    merged: made.merged,
    warnings: warnings.notes(),
  };
  return { definition: parsed.data, report };
}
