import { environmentId, regionId, replicaId } from '#model';
import { z } from 'zod';
import { endpoint } from '../http/endpoint.js';

export const joined = z
  .object({
    replica: replicaId,
    token: z.string().meta({ description: 'What the replica reports with; shown once.' }),
    environment: environmentId,
    region: regionId,
    trustedKeys: z.array(z.string()).meta({ description: 'Ed25519 public keys of the chain: 32 bytes in base64.' }),
    store: z
      .string()
      .meta({ description: 'The artifact store, without credentials.', example: 's3://heliograph/main' }),
  })
  .meta({ id: 'Joined' });
export type Joined = z.infer<typeof joined>;

const build = z
  .string()
  .min(1, 'must not be empty')
  .max(64, 'has at most 64 characters')
  .regex(/^[\x21-\x7e]+$/, 'must be printable characters without spaces');

export const joinFleet = endpoint({
  method: 'POST',
  path: '/replicas/join',
  tag: 'replicas',
  summary: 'Join a region as a replica, with a join token',
  description:
    'Without `replica` the id is `<region>-<n>`. A replica that joins again in its region keeps its id; its token of before is refused from then on.',
  access: 'public',
  bodyLimit: 16 * 1024,
  body: z
    .strictObject({
      token: z.string().min(1, 'must not be empty').max(200, 'has at most 200 characters'),
      region: regionId,
      environment: environmentId,
      replica: replicaId.optional(),
      build,
    })
    .meta({
      example: {
        token: 'hg_join_0123456789abcdef0123456789abcdef01234567',
        region: 'eu-west',
        environment: 'prod',
        build: '0.1.0',
      },
    }),
  answers: { 201: joined },
  errors: ['join_token_invalid', 'conflict', 'body_too_large'],
});
export type JoinRequest = z.infer<NonNullable<(typeof joinFleet)['body']>>;
