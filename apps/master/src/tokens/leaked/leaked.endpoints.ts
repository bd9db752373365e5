import { z } from 'zod';
import { keyView, reason } from '../../consumers/keys.endpoints.js';
import { endpoint, OPERATORS } from '../../http/endpoint.js';
import { clientView } from '../clients/clients.endpoints.js';

export const leakedKeyView = z
  .object({
    wellFormed: z.boolean().meta({
      description: 'Whether it has the form and the checksum of a key or client secret that was issued here.',
    }),
    keys: z.array(keyView).meta({ description: 'One for each environment that has it; none: nobody has such a key.' }),
    clients: z.array(clientView).meta({ description: 'Those of which it is, or was, a secret.' }),
  })
  .meta({ id: 'LeakedKey' });
export type LeakedKeyView = z.infer<typeof leakedKeyView>;

export const reportLeakedKey = endpoint({
  method: 'POST',
  path: '/leaked-keys',
  tag: 'keys',
  summary: 'Say whose a key or client secret is that was found where it should not be, and revoke it',
  description: [
    'For who follows a secret scanner: keys match `hg_live_[0-9A-Za-z]{27}_[0-9A-Za-z]{6}`, secrets of clients `hg_secret_...` likewise. Of a',
    'client the secret is taken no more and all tokens of before are refused; its other secrets go on. The text that was found is neither kept nor logged.',
  ].join(' '),
  access: OPERATORS,
  body: z.strictObject({
    key: z
      .string()
      .min(1)
      .max(512, 'must have at most 512 characters')
      .meta({ description: 'The whole key or secret, as it was found.' }),
    revoke: z.boolean().default(true).meta({ description: 'false: only look.' }),
    reason: reason.default('leaked'),
  }),
  answers: { 200: leakedKeyView },
});
