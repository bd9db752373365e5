import { definition, digestHex } from '#model';
import { z } from 'zod';
import { endpoint, PUBLISHERS, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';
import { apiParams } from './apis.endpoints.js';
import { importReport } from './openapi/import-report.js';
import { documentQuery, releaseBody } from './release-input.js';

const tag = 'releases';
const path = '/apis/:api/releases';

const releaseSummary = z
  .object({
    digest: digestHex,
    api: z.string(),
    routes: z.int(),
    plans: z.array(z.string()),
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
  })
  .meta({ id: 'ReleaseSummary' });
export type ReleaseSummary = z.infer<typeof releaseSummary>;

const releaseMade = releaseSummary
  .extend({ report: importReport.nullable().meta({ description: 'What an import made of the OpenAPI document.' }) })
  .meta({ id: 'ReleaseMade' });
export type ReleaseMade = z.infer<typeof releaseMade>;

const release = releaseMade.extend({ definition }).meta({ id: 'Release' });
export type ReleaseView = z.infer<typeof release>;

/** GitHub's own OpenAPI document has 12 MB. */
const MAX_BODY = 20 * 1024 * 1024;

export const createRelease = endpoint({
  method: 'POST',
  path,
  tag,
  summary: 'Make a release of a definition or of an OpenAPI document',
  description: `A release never changes. It is named by the SHA-256 digest of its definition in canonical JSON, so the same definition is the
same release: it is made once (201), and found from then on (200).

The body is one of

- \`application/json\`: \`{"definition": {...}}\`. \`name\`, \`version\` and \`context\` may be left out; they are the API's.
- \`application/json\`: \`{"openapi": {...} or "text", "overrides": {...}}\`. The document is OpenAPI 3.0 or 3.1, its text JSON or YAML (YAML up to 4 MiB).
  \`overrides\` has fields of the definition (\`upstream\`, \`security\`, \`credential\`, \`plans\`, \`openPlan\`, \`policies\`, \`maxStaleness\`), which come before
  what the document says, \`honourOpenOperations\` and \`honourTokens\`.
- the OpenAPI document itself as \`application/json\`, \`application/openapi+json\`, \`application/openapi+yaml\`, \`application/yaml\`, \`application/x-yaml\` or
  \`text/yaml\`; then the query parameters are the overrides.

The plans that it names must exist. It serves nowhere until it is placed.`,
  access: PUBLISHERS,
  params: apiParams,
  query: documentQuery,
  body: releaseBody,
  consumes: [
    'application/json',
    'application/openapi+json',
    'application/openapi+yaml',
    'application/yaml',
    'application/x-yaml',
    'text/yaml',
  ],
  bodyLimit: MAX_BODY,
  answers: { 200: releaseMade, 201: releaseMade },
  errors: [
    'not_found',
    'malformed_json',
    'body_too_large',
    'unsupported_media_type',
    'definition_invalid',
    'openapi_invalid',
    'unknown_reference',
  ],
});

export const listReleases = endpoint({
  method: 'GET',
  path,
  tag,
  summary: 'List releases of an API, the newest first',
  access: VIEWERS,
  params: apiParams,
  query: z.strictObject(pageQuery),
  answers: { 200: pageOf(releaseSummary) },
  errors: ['not_found'],
});

export const getRelease = endpoint({
  method: 'GET',
  path: `${path}/:digest`,
  tag,
  summary: 'One release with its definition',
  access: VIEWERS,
  params: apiParams.extend({ digest: digestHex }),
  answers: { 200: release },
  errors: ['not_found'],
});

const change = z.object({
  pointer: z.string().meta({ description: 'JSON pointer to what differs.', example: '/upstream/targets/0/url' }),
  from: z.unknown().optional().meta({ description: 'Missing where there was nothing.' }),
  to: z.unknown().optional().meta({ description: 'Missing where there is nothing any more.' }),
  large: z.literal(true).optional().meta({ description: 'From and to are left out for their size.' }),
});
export type Change = z.infer<typeof change>;

const routeName = z.object({ method: z.string(), path: z.string() });

const releaseDiff = z
  .object({
    from: digestHex,
    to: digestHex,
    routes: z.object({
      added: z.array(routeName),
      removed: z.array(routeName),
      changed: z.array(routeName.extend({ changes: z.array(change) })),
    }),
    fields: z.array(change).meta({ description: 'Differences outside of the routes.' }),
    truncated: z.boolean().meta({ description: 'There are more differences; these are the first 1000.' }),
  })
  .meta({ id: 'ReleaseDiff' });
export type ReleaseDiff = z.infer<typeof releaseDiff>;

export const diffReleases = endpoint({
  method: 'GET',
  path: `${path}/diff`,
  tag,
  summary: 'What differs between two releases of an API',
  description:
    'Routes are the same when method and path are, whatever their parameters are called; their order has no effect and is not compared.',
  access: VIEWERS,
  params: apiParams,
  query: z.strictObject({ from: digestHex, to: digestHex }),
  answers: { 200: releaseDiff },
  errors: ['not_found'],
});
