import { z } from 'zod';
import { ROLES } from '../database/entities.js';
import { ADMINS, endpoint } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'access';
const name = z
  .string()
  .min(1, 'must not be empty')
  .max(100, 'must have at most 100 characters')
  .regex(/^[\x20-\x7e]+$/, 'must be printable ASCII');
const role = z.enum(ROLES, `must be one of ${ROLES.join(', ')}`);

export const accessTokenView = z
  .object({
    id: z.uuid(),
    name,
    role,
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
    expiresAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'AccessToken' });
export type AccessTokenView = z.infer<typeof accessTokenView>;
export const issuedAccessTokenView = accessTokenView
  .extend({ token: z.string().meta({ description: 'Shown this once, and kept nowhere.' }) })
  .meta({ id: 'IssuedAccessToken' });
export type IssuedAccessTokenView = z.infer<typeof issuedAccessTokenView>;

export const createAccessToken = endpoint({
  method: 'POST',
  path: '/access-tokens',
  tag,
  summary: 'Make an access token for a person or a pipeline',
  access: ADMINS,
  body: z.strictObject({
    name,
    role,
    expiresAt: z.iso
      .datetime({ offset: true, error: 'must be a time in ISO 8601, like 2030-01-01T00:00:00Z', abort: true })
      .refine((text) => Date.parse(text) > Date.now(), 'must be in the future')
      .optional(),
  }),
  answers: { 201: issuedAccessTokenView },
});

export const listAccessTokens = endpoint({
  method: 'GET',
  path: '/access-tokens',
  tag,
  summary: 'List access tokens, without the tokens',
  access: ADMINS,
  query: z.strictObject(pageQuery),
  answers: { 200: pageOf(accessTokenView) },
});

export const deleteAccessToken = endpoint({
  method: 'DELETE',
  path: '/access-tokens/:token',
  tag,
  summary: 'Withdraw an access token',
  description: 'This master refuses it at once, others within two seconds.',
  access: ADMINS,
  params: z.strictObject({ token: z.uuid('must be the id of an access token, a UUID') }),
  answers: { 204: null },
  errors: ['not_found'],
});
