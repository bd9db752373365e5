import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';

const FORM = 'application/x-www-form-urlencoded';
const tags = ['OAuth'];

const credentials = {
  client_id: z.string().optional().meta({ description: 'Where the client does not say who it is by HTTP Basic.' }),
  client_secret: z.string().optional(),
};
const token = z.string().meta({ description: 'An access token that a master has issued.' });

const fault = z
  .object({ error: z.string(), error_description: z.string() })
  .meta({ id: 'OAuthError', description: 'RFC 6749, 5.2. Not a problem document.' });
const refusals = Object.fromEntries(
  Object.entries({
    400: 'invalid_request, invalid_grant, invalid_scope, unsupported_grant_type',
    401: 'invalid_client, invalid_token',
    429: 'temporarily_unavailable: too many attempts have failed',
    503: 'temporarily_unavailable',
  }).map(([status, description]) => [status, { description, content: { 'application/json': { schema: fault } } }]),
);

function operation(
  operationId: string,
  summary: string,
  more: { form?: z.ZodObject; answer: z.ZodType; type?: string; security?: ZodOpenApiOperationObject['security'] },
): ZodOpenApiOperationObject {
  const { form, answer, type = 'application/json', security = [] } = more;
  return {
    operationId,
    tags,
    summary,
    security,
    ...(form && { requestBody: { required: true, content: { [FORM]: { schema: form } } } }),
    responses: { '200': { description: 'Done.', content: { [type]: { schema: answer } } }, ...(form && refusals) },
  };
}

/** By HTTP Basic, or by its form. */
const asClient: Record<string, string[]>[] = [{ clientBasic: [] }, {}];

/** What OAuth's own documents say of these paths; they are no endpoints of `/v1`. See docs/oauth.md. */
export const OAUTH_PATHS: ZodOpenApiPathsObject = {
  '/oauth/token': {
    post: operation('oauthToken', 'An access token for a client (RFC 6749, 4.4)', {
      form: z.object({
        grant_type: z.literal('client_credentials'),
        scope: z
          .string()
          .optional()
          .meta({ description: 'Fewer scopes than the client has, with spaces between them.' }),
        ...credentials,
      }),
      answer: z.object({
        access_token: z.string(),
        token_type: z.literal('Bearer'),
        expires_in: z.int(),
        scope: z.string().optional(),
      }),
      security: asClient,
    }),
  },
  '/oauth/introspect': {
    post: operation('oauthIntrospect', 'Whether a token is active (RFC 7662)', {
      form: z.object({ token, ...credentials }),
      answer: z.object({
        active: z.boolean(),
        scope: z.string().optional(),
        client_id: z.string().optional(),
        token_type: z.literal('Bearer').optional(),
        exp: z.int().optional(),
        iat: z.int().optional(),
        sub: z.string().optional(),
        aud: z.string().optional(),
        iss: z.string().optional(),
        jti: z.string().optional(),
      }),
      security: [...asClient, { token: [] }],
    }),
  },
  '/oauth/revoke': {
    post: operation('oauthRevoke', 'Revoke a token of the client (RFC 7009)', {
      form: z.object({ token, ...credentials }),
      answer: z.object({}),
      security: asClient,
    }),
  },
  '/.well-known/oauth-authorization-server': {
    get: operation('oauthMetadata', 'Where the endpoints are, and what they can do (RFC 8414)', {
      answer: z.looseObject({ issuer: z.string(), token_endpoint: z.string(), jwks_uri: z.string() }),
    }),
  },
  '/.well-known/jwks.json': {
    get: operation('oauthKeys', 'Public keys of access tokens (RFC 7517)', {
      answer: z.object({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })) }),
      type: 'application/jwk-set+json',
    }),
  },
};
