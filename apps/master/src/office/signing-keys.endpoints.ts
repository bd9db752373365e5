import { publicKeyText } from '#model';
import { z } from 'zod';
import { ADMINS, endpoint } from '../http/endpoint.js';

const tag = 'office';
const id = z
  .string()
  .regex(/^[0-9a-f]{16}$/, 'must be the id of a key: 16 hexadecimal digits')
  .meta({ description: 'As heads and revisions name it: the first 8 bytes of the SHA-256 of the public key.' });

export const signingKeyView = z
  .object({
    id,
    publicKey: publicKeyText,
    state: z.enum(['signing', 'trusted', 'announced', 'retired']).meta({
      description:
        '`announced`: not every chain says so yet, or not every replica has applied it; a master that signs with it now would be refused. ' +
        '`trusted`: everywhere; masters can be restarted with it. `signing`: some chain is signed with it.',
    }),
    signs: z.array(z.string()).meta({ description: 'Environments whose leader signs with it.' }),
    waitsFor: z.array(z.string()).meta({
      description:
        'What has not applied the present set of keys: `prod` (not published yet) or `prod/eu-west-1`. The first 100.',
    }),
    addedAt: z.iso.datetime().nullable(),
    addedBy: z.string().nullable(),
    retiredAt: z.iso.datetime().nullable(),
    retiredBy: z.string().nullable(),
  })
  .meta({ id: 'SigningKey' });
export type SigningKeyView = z.infer<typeof signingKeyView>;

export const listSigningKeys = endpoint({
  method: 'GET',
  path: '/signing-keys',
  tag,
  summary: 'The keys that chains are signed with',
  access: ADMINS,
  answers: { 200: z.object({ items: z.array(signingKeyView) }) },
});

export const announceSigningKey = endpoint({
  method: 'POST',
  path: '/signing-keys',
  tag,
  summary: 'Announce the next signing key',
  description:
    'Its public half only. When it is `trusted`, start the masters one by one with its private half as HELIO_SIGNING_KEY; then retire the old one.',
  access: ADMINS,
  body: z.strictObject({ publicKey: publicKeyText }),
  answers: { 200: signingKeyView, 201: signingKeyView },
  errors: ['conflict'],
});

export const retireSigningKey = endpoint({
  method: 'DELETE',
  path: '/signing-keys/:key',
  tag,
  summary: 'Retire a signing key',
  description:
    'Refused while a leader signs with it, and until every replica has applied the present set of keys; `force=true` does not wait for replicas, ' +
    'and those that did not apply the set have to join again.',
  access: ADMINS,
  params: z.strictObject({ key: id }),
  query: z.strictObject({ force: z.enum(['true', 'false']).optional() }),
  answers: { 204: null },
  errors: ['not_found', 'in_use'],
});
