import { type ErrorCode, ERRORS } from '#model';
import { z } from 'zod';
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiResponsesObject } from 'zod-openapi';
import { type EndpointSpec, mayWait } from '../http/endpoint.js';
import { OAUTH_PATHS } from '../tokens/oauth/oauth.openapi.js';

const TITLE = 'Heliograph master';

const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string().meta({ description: 'Stable; the table of codes is in docs/errors.md.' }),
    detail: z.string(),
    instance: z.string().optional(),
    requestId: z.string().optional(),
    errors: z.array(z.object({ field: z.string(), problem: z.string(), expected: z.string().optional() })).optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem document.' });

/** The OpenAPI 3.1 document of all endpoints. */
export function openApiDocument(specs: readonly EndpointSpec[], version: string): object {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const spec of [...specs].sort((a, b) => a.path.localeCompare(b.path))) {
    const path = `/v1${spec.path.replace(/:(\w+)/g, '{$1}')}`;
    paths[path] = { ...paths[path], [spec.method.toLowerCase()]: operationOf(spec) };
  }
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: TITLE,
      version,
      description:
        'The one place to write. Every POST takes an Idempotency-Key; updates take If-Match; every write that reaches a chain answers with Heliograph-Revision.',
    },
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' }, clientBasic: { type: 'http', scheme: 'basic' } },
    },
    paths: { ...paths, ...OAUTH_PATHS },
  });
}

function operationOf(spec: EndpointSpec): ZodOpenApiOperationObject {
  const isPublic = spec.access === 'public';
  const write = spec.method !== 'GET' && spec.access !== 'replica' && !isPublic;
  return {
    operationId: operationIdOf(spec),
    tags: [spec.tag],
    summary: spec.summary,
    description: [spec.description, accessText(spec)].filter(Boolean).join('\n\n'),
    security: isPublic ? [] : [{ token: [] }],
    requestParams: {
      ...(spec.params && { path: spec.params }),
      ...queryOf(spec),
      ...(write && { header: writeHeaders(spec) }),
    },
    requestBody: spec.body || spec.streamed ? { required: needsBody(spec), content: bodyOf(spec) } : undefined,
    responses: { ...answersOf(spec, write), ...problemsOf(spec, isPublic) } as ZodOpenApiResponsesObject,
  };
}

/** `POST /apis/:api/releases` -> `postApisReleases`. */
function operationIdOf(spec: EndpointSpec): string {
  const words = spec.path.split(/[/-]/).filter((part) => part !== '' && !part.startsWith(':'));
  const byItem = /\/:\w+$/.test(spec.path) ? 'One' : '';
  return (
    spec.method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('') + byItem
  );
}

function accessText(spec: EndpointSpec): string {
  if (spec.access === 'public') return '';
  return spec.access === 'replica'
    ? 'For replicas, with the token that joining gave them.'
    : `Roles: ${['admin', ...spec.access].join(', ')}.`;
}

function queryOf(spec: EndpointSpec): { query?: z.ZodObject } {
  if (!mayWait(spec)) return spec.query ? { query: spec.query } : {};
  return { query: (spec.query ?? z.object({})).extend({ applied: APPLIED }) };
}

function writeHeaders(spec: EndpointSpec): z.ZodObject {
  const header: Record<string, z.ZodType> = {};
  if (spec.method === 'POST')
    header['Idempotency-Key'] = z.string().optional().meta({ description: 'Makes the request safe to send again.' });
  else header['If-Match'] = z.string().optional().meta({ description: 'The ETag of the state that is changed.' });
  if (mayWait(spec)) header.Prefer = PREFER;
  return z.object(header);
}

function needsBody({ body, streamed }: EndpointSpec): boolean {
  return streamed === true || !body?.safeParse(undefined).success;
}

function bodyOf(spec: EndpointSpec): Record<string, { schema?: z.ZodType }> {
  const types = spec.consumes ?? ['application/json'];
  return Object.fromEntries(
    types.map((type) => [
      type,
      type === 'application/json' && spec.body ? { schema: spec.body } : { schema: z.string() },
    ]),
  );
}

function answersOf(spec: EndpointSpec, write: boolean): Record<string, object> {
  const headers = write
    ? {
        'Heliograph-Revision': {
          description: 'Where the write stands in each chain: prod@184.',
          schema: { type: 'string' as const },
        },
      }
    : undefined;
  const answers = Object.entries(spec.answers).map(([status, schema]) => [
    status,
    {
      description: status === '201' ? 'Made.' : 'Done.',
      headers,
      ...(schema ? { content: { [spec.produces ?? 'application/json']: { schema } } } : {}),
    },
  ]) as [string, object][];
  const [first] = answers;
  if (first && mayWait(spec)) {
    const description =
      'With `Prefer: wait`: it is written, and not applied by all that were asked for yet. The body is that of the usual answer.';
    answers.push(['202', { ...first[1], description, headers: { ...headers, ...MISSING_HEADERS } }]);
  }
  return Object.fromEntries(answers);
}

const PREFER = z
  .string()
  .optional()
  .meta({ description: '`wait=5`: answer when replicas have applied the write, or after 5 seconds; 1 to 60.' });
const APPLIED = z.string().optional().meta({
  description:
    'With `Prefer: wait`, which replicas: `all` (default), `region:<id>`, or `quorum`: more than half of those of each environment.',
});
const text = { type: 'string' as const };
const MISSING_HEADERS = {
  'Preference-Applied': { description: 'wait=5', schema: text },
  'Heliograph-Missing': {
    description: 'The first 20 replicas that have not applied it, with where they stand: eu-west-1@183.',
    schema: text,
  },
  'Heliograph-Missing-Count': { description: 'How many there are.', schema: { type: 'integer' as const } },
  Link: { description: 'Where to look again: the convergence of the revision, as rel="monitor".', schema: text },
};

function problemsOf(spec: EndpointSpec, isPublic: boolean): Record<string, object> {
  const codes = new Set<ErrorCode>([
    ...(isPublic ? [] : (['unauthenticated'] as const)),
    ...(Array.isArray(spec.access) ? (['forbidden'] as const) : []),
    'invalid_request',
    ...(spec.errors ?? []),
  ]);
  const byStatus: Record<string, ErrorCode[]> = {};
  for (const code of codes) (byStatus[ERRORS[code].status] ??= []).push(code);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, list]) => [
      status,
      { description: list.join(', '), content: { 'application/problem+json': { schema: problem } } },
    ]),
  );
}
