import { environmentId } from '#model';
import { z } from 'zod';
import { expiresAt } from '../../consumers/keys.endpoints.js';
import { endpoint, OPERATORS } from '../../http/endpoint.js';

export const revokedTokenView = z
  .object({
    environment: z.string(),
    issuer: z.string(),
    jti: z.string(),
    expiresAt: z.iso.datetime().meta({ description: 'The entry is forgotten soon after.' }),
  })
  .meta({ id: 'RevokedToken' });
export type RevokedTokenView = z.infer<typeof revokedTokenView>;

const printable = (max: number) =>
  z
    .string()
    .max(max, `must have at most ${max} characters`)
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces');

export const revokeToken = endpoint({
  method: 'POST',
  path: '/environments/:environment/revoked-tokens',
  tag: 'tokens',
  summary: 'Revoke one access token',
  description:
    'Named by its `jti`, or by itself: it is read, not verified and not kept. To revoke it again does no harm. A token without a `jti` cannot be revoked by itself; its client can, with all of its tokens.',
  access: OPERATORS,
  params: z.strictObject({ environment: environmentId }),
  body: z
    .strictObject({
      token: printable(8192).optional(),
      jti: printable(512).optional(),
      issuer: printable(512).optional().meta({ description: 'Its `iss`; default: this master.' }),
      expiresAt: expiresAt.optional().meta({
        description:
          'When the token expires, where it is named by its jti. Default for tokens of this master: the latest that it can be.',
      }),
    })
    .refine(({ token, jti }) => (token === undefined) !== (jti === undefined), {
      path: ['token'],
      error: 'or jti must be given, and not both',
    })
    .refine(({ token, issuer, expiresAt: end }) => token === undefined || (issuer === undefined && end === undefined), {
      path: ['token'],
      error: 'says its issuer and expiry by itself; leave those out',
    })
    .meta({ example: { jti: '8sVYvVxKZbA0dQ1t8iT0Fw' } }),
  answers: { 200: revokedTokenView },
  errors: ['not_found'],
});
