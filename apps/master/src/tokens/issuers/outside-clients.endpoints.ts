import { environmentId, ipList, lineOfText, scopeList } from '#model';
import { z } from 'zod';
import { endpoint, VIEWERS, WRITERS } from '../../http/endpoint.js';
import { pageOf, pageQuery } from '../../http/paging.js';
import { issuerName } from './issuers.endpoints.js';

const tag = 'outside clients';
const application = z.uuid('must be the id of an application, a UUID');
const params = z.strictObject({ application, client: z.uuid('must be the id of an outside client, a UUID') });
const scopes = scopeList.nullable().meta({
  description: 'Of what its tokens say, these alone are taken; null: whatever they say.',
});

export const outsideClientView = z
  .object({
    id: z.uuid(),
    application,
    environment: z.string(),
    issuer: z.string(),
    clientId: z.string(),
    scopes: z.array(z.string()).nullable(),
    ips: z.array(z.string()).nullable().meta({ description: 'Where its tokens may be used; null: anywhere.' }),
    status: z.enum(['active', 'revoked']),
    notBefore: z.iso.datetime().nullable().meta({ description: 'Tokens that were issued before it are refused.' }),
    revokedAt: z.iso.datetime().nullable(),
    revokedReason: z.string().nullable(),
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
  })
  .meta({ id: 'OutsideClient' });
export type OutsideClientView = z.infer<typeof outsideClientView>;

export const bindClient = endpoint({
  method: 'POST',
  path: '/applications/:application/outside-clients',
  tag,
  summary: 'Say which application the tokens of a client of an outside issuer are of',
  access: WRITERS,
  params: z.strictObject({ application }),
  body: z
    .strictObject({
      environment: environmentId,
      issuer: issuerName,
      clientId: lineOfText(512).meta({ description: 'What the claim of the issuer that names the client says.' }),
      scopes: scopes.optional(),
      ips: ipList.optional(),
    })
    .meta({ example: { environment: 'prod', issuer: 'https://id.example.com/realms/partners', clientId: 'crm' } }),
  answers: { 201: outsideClientView },
  errors: ['not_found', 'unknown_reference', 'conflict'],
});

export const listOutsideClients = endpoint({
  method: 'GET',
  path: '/applications/:application/outside-clients',
  tag,
  summary: 'List the outside clients of an application, oldest first',
  access: VIEWERS,
  params: z.strictObject({ application }),
  query: z.strictObject({ ...pageQuery, environment: environmentId.optional() }),
  answers: { 200: pageOf(outsideClientView) },
  errors: ['not_found'],
});

export const getOutsideClient = endpoint({
  method: 'GET',
  path: '/applications/:application/outside-clients/:client',
  tag,
  summary: 'One outside client',
  access: VIEWERS,
  params,
  answers: { 200: outsideClientView },
  errors: ['not_found'],
});

export const updateOutsideClient = endpoint({
  method: 'PATCH',
  path: '/applications/:application/outside-clients/:client',
  tag,
  summary: 'Change what the tokens of an outside client may do, and from where',
  access: WRITERS,
  params,
  body: z.strictObject({ scopes: scopes.optional(), ips: ipList.nullable().optional() }),
  answers: { 200: outsideClientView },
  errors: ['not_found', 'conflict', 'precondition_required', 'precondition_failed'],
});

export const revokeOutsideClient = endpoint({
  method: 'POST',
  path: '/applications/:application/outside-clients/:client/revoke',
  tag,
  summary: 'Revoke an outside client with all of its tokens',
  description: 'Revoking a revoked client changes nothing and is no error. It can be bound anew, to any application.',
  access: WRITERS,
  params,
  body: z.strictObject({ reason: lineOfText(500).optional() }).optional(),
  answers: { 200: outsideClientView },
  errors: ['not_found'],
});

export const revokeOutsideTokens = endpoint({
  method: 'POST',
  path: '/applications/:application/outside-clients/:client/revoke-tokens',
  tag,
  summary: 'Revoke the tokens of an outside client that were issued before a time',
  description: 'A time before that of an earlier call changes nothing. Tokens without `iat` are refused from then on.',
  access: WRITERS,
  params,
  body: z
    .strictObject({
      before: z.iso
        .datetime({ offset: true, error: 'must be a time in ISO 8601, like 2030-01-01T00:00:00Z', abort: true })
        .refine((text) => Date.parse(text) <= Date.now(), 'must not be in the future')
        .optional()
        .meta({ description: 'Default: now, up to the next whole second.' }),
    })
    .optional(),
  answers: { 200: outsideClientView },
  errors: ['not_found', 'conflict'],
});
