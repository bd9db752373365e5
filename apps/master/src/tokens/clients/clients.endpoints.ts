import { environmentId, ipList, lineOfText, scopeList } from '#model';
import { z } from 'zod';
import { expiresAt } from '../../consumers/keys.endpoints.js';
import { endpoint, VIEWERS, WRITERS } from '../../http/endpoint.js';
import { pageOf, pageQuery } from '../../http/paging.js';

const tag = 'clients';
const application = z.uuid('must be the id of an application, a UUID');
const params = z.strictObject({
  application,
  client: z.string().regex(/^hgc_[0-9A-Za-z]{22}$/, 'must be the id of a client, like hgc_2aUyqjCzEIiEcYMKj7TZtw'),
});

/** A revoked client is refused at once; of a token it is bounded how long it can be used where nothing is heard of that. */
export const MOST_TOKEN_SECONDS = 86_400;
const futureExpiry = expiresAt.refine((text) => Date.parse(text) > Date.now(), 'must be in the future');
const tokenSeconds = z
  .int('must be a whole number of seconds')
  .min(60, 'must be at least 60 seconds')
  .max(MOST_TOKEN_SECONDS, 'must be at most a day, 86400 seconds')
  .meta({ description: 'How long a token of it can be used.' });

export const clientView = z
  .object({
    id: z.string().meta({ description: 'The client_id.' }),
    application,
    environment: z.string(),
    name: z.string().nullable(),
    scopes: z.array(z.string()),
    ips: z.array(z.string()).nullable().meta({ description: 'Where its tokens may be used; null: anywhere.' }),
    tokenSeconds: z.int(),
    status: z.enum(['active', 'expired', 'revoked']),
    expiresAt: z.iso.datetime().nullable(),
    notBefore: z.iso.datetime().nullable().meta({ description: 'Tokens that were issued before it are refused.' }),
    revokedAt: z.iso.datetime().nullable(),
    revokedReason: z.string().nullable(),
    lastUsedAt: z.iso.datetime().nullable().meta({
      description: 'The hour in which a token of it was used last, as far as replicas have told; null: in none.',
    }),
    secrets: z
      .array(z.object({ hint: z.string(), expiresAt: z.iso.datetime().nullable(), createdAt: z.iso.datetime() }))
      .meta({ description: 'Those that are taken now, oldest first, by their beginnings.' }),
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
  })
  .meta({ id: 'Client' });
export type ClientView = z.infer<typeof clientView>;

export const issuedClientView = clientView
  .extend({ secret: z.string().meta({ description: 'The client_secret. It is shown this once and kept nowhere.' }) })
  .meta({ id: 'IssuedClient' });
export type IssuedClientView = z.infer<typeof issuedClientView>;

export const createClient = endpoint({
  method: 'POST',
  path: '/applications/:application/clients',
  tag,
  summary: 'Make an OAuth client for one environment',
  description:
    'The answer shows the secret, once. With it the client obtains tokens at `/oauth/token` (client credentials), for the scopes that it has.',
  access: WRITERS,
  params: z.strictObject({ application }),
  body: z
    .strictObject({
      environment: environmentId,
      name: lineOfText(200).optional(),
      scopes: scopeList.default([]),
      ips: ipList.optional(),
      tokenSeconds: tokenSeconds.default(3600),
      expiresAt: futureExpiry.optional(),
    })
    .meta({ example: { environment: 'prod', name: 'nightly sync', scopes: ['orders:read'] } }),
  answers: { 201: issuedClientView },
  errors: ['not_found', 'unknown_reference'],
});

export const listClients = endpoint({
  method: 'GET',
  path: '/applications/:application/clients',
  tag,
  summary: 'List the clients of an application, oldest first',
  access: VIEWERS,
  params: z.strictObject({ application }),
  query: z.strictObject({ ...pageQuery, environment: environmentId.optional() }),
  answers: { 200: pageOf(clientView) },
  errors: ['not_found'],
});

export const getClient = endpoint({
  method: 'GET',
  path: '/applications/:application/clients/:client',
  tag,
  summary: 'One client, without its secrets',
  access: VIEWERS,
  params,
  answers: { 200: clientView },
  errors: ['not_found'],
});

export const updateClient = endpoint({
  method: 'PATCH',
  path: '/applications/:application/clients/:client',
  tag,
  summary: 'Change what a client may do',
  description: 'Scopes that it loses are lost for tokens that it has, too; how long they can be used stays as it was.',
  access: WRITERS,
  params,
  body: z.strictObject({
    name: lineOfText(200).nullable().optional(),
    scopes: scopeList.optional(),
    ips: ipList.nullable().optional(),
    tokenSeconds: tokenSeconds.optional(),
    expiresAt: futureExpiry.nullable().optional(),
  }),
  answers: { 200: clientView },
  errors: ['not_found', 'conflict', 'precondition_required', 'precondition_failed'],
});

export const rotateClient = endpoint({
  method: 'POST',
  path: '/applications/:application/clients/:client/rotate',
  tag,
  summary: 'Give a client another secret; the former one is taken on for the overlap',
  access: WRITERS,
  params,
  body: z
    .strictObject({
      overlapSeconds: z
        .int('must be a whole number of seconds')
        .min(0)
        .max(90 * 86_400, 'must be at most 90 days')
        .default(86_400)
        .meta({ description: 'How long the former secret is taken on; default one day.' }),
    })
    .prefault({}),
  answers: { 201: issuedClientView },
  errors: ['not_found', 'conflict'],
});

export const revokeClient = endpoint({
  method: 'POST',
  path: '/applications/:application/clients/:client/revoke',
  tag,
  summary: 'Revoke a client with all of its tokens, for ever',
  description: 'Revoking a revoked client changes nothing and is no error.',
  access: WRITERS,
  params,
  body: z.strictObject({ reason: lineOfText(500).optional() }).optional(),
  answers: { 200: clientView },
  errors: ['not_found'],
});

export const revokeClientTokens = endpoint({
  method: 'POST',
  path: '/applications/:application/clients/:client/revoke-tokens',
  tag,
  summary: 'Revoke the tokens of a client that were issued before a time',
  description: 'The client goes on to obtain new ones. A time before that of an earlier call changes nothing.',
  access: WRITERS,
  params,
  body: z
    .strictObject({
      before: z.iso
        .datetime({ offset: true, error: 'must be a time in ISO 8601, like 2030-01-01T00:00:00Z', abort: true })
        .refine((text) => Date.parse(text) <= Date.now(), 'must not be in the future')
        .optional()
        .meta({ description: 'Default: now, which covers every token that was issued before the answer.' }),
    })
    .optional(),
  answers: { 200: clientView },
  errors: ['not_found', 'conflict'],
});
