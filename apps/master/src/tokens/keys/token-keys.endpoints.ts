import { environmentId } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS, VIEWERS } from '../../http/endpoint.js';

const tag = 'tokens';
const params = z.strictObject({ environment: environmentId });

export const tokenKeyView = z
  .object({
    kid: z.string(),
    environment: z.string(),
    state: z.enum(['announced', 'signing', 'leaving']).meta({
      description:
        'announced: replicas hear of it, and nothing is signed by it yet; leaving: tokens are signed by a newer one, or by the one of another master.',
    }),
    signsFrom: z.iso.datetime(),
    leavesAt: z.iso.datetime().nullable().meta({ description: 'When the last token that it signed has expired.' }),
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
  })
  .meta({ id: 'TokenKey' });
export type TokenKeyView = z.infer<typeof tokenKeyView>;

export const listTokenKeys = endpoint({
  method: 'GET',
  path: '/environments/:environment/token-keys',
  tag,
  summary: 'List the keys by which access tokens of an environment are signed and verified',
  access: VIEWERS,
  params,
  answers: { 200: z.object({ items: z.array(tokenKeyView) }) },
  errors: ['not_found'],
});

export const rotateTokenKeys = endpoint({
  method: 'POST',
  path: '/environments/:environment/token-keys/rotate',
  tag,
  summary: 'Announce the next key, or replace a leaked one at once',
  description:
    'Keys also rotate by themselves. A new one is announced some minutes before tokens are signed by it, and the former leaves when its last token has expired. In an emergency the former ones leave at once: every token of the environment is refused by every replica that has applied the revision, and clients have to obtain new ones.',
  access: OPERATORS,
  params,
  body: z.strictObject({ emergency: z.boolean().default(false) }).prefault({}),
  answers: { 201: tokenKeyView },
  errors: ['not_found', 'conflict'],
});
