import { environmentId } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'office';
const span = z.object({ from: z.int(), to: z.int() });

export const restoreView = z
  .object({
    id: z.uuid(),
    environment: environmentId,
    beganAt: z.iso.datetime(),
    finishedAt: z.iso.datetime().nullable(),
    source: z.string().meta({ description: 'Where the forgotten revisions came from.' }),
    adopted: span.meta({ description: 'Revisions that this database had forgotten.' }),
    missing: span.nullable().meta({
      description: 'Those of them whose bytes were nowhere to be had: their outcome came with a snapshot.',
    }),
    dropped: span
      .nullable()
      .meta({ description: 'Revisions of this database that were given up for others of their numbers.' }),
    epoch: z.int().meta({ description: 'Of the newest revision that was adopted.' }),
    revocationsKept: z
      .int()
      .meta({ description: 'Rows that were revoked again, because they had been before the restore.' }),
    changedBack: z.int().meta({ description: 'Entries of the chain that follow the rows again.' }),
    mayBeWithdrawn: z.array(z.string()).meta({
      description:
        'Access tokens, join tokens and replicas of before the restore that are valid now, the first 100: the chain does not say of them whether they were withdrawn since the backup.',
    }),
    note: z.string().meta({ description: 'What the chain cannot tell, and somebody has to look at.' }),
  })
  .meta({ id: 'Restore' });
export type RestoreView = z.infer<typeof restoreView>;

export const listRestores = endpoint({
  method: 'GET',
  path: '/restore-report',
  tag,
  summary: 'Each time that a database had gone back in time, newest first',
  access: OPERATORS,
  query: z.strictObject({ ...pageQuery, environment: environmentId.optional() }),
  answers: { 200: pageOf(restoreView) },
});

export const restoreItemView = z
  .object({
    kind: z.enum(['kept', 'changed']).meta({
      description: '`kept`: a revocation that won over the row. `changed`: the chain follows the row.',
    }),
    what: z.string().meta({
      description:
        'key, expiry, key-bounds, subscription, suspension, signing-key, client, client-bounds, tokens, token, token-key, issuer, issuer-rules; or added, changed, removed.',
    }),
    target: z.string(),
    before: z.unknown().nullable().meta({ description: 'Of the row.' }),
  })
  .meta({ id: 'RestoreItem' });
export type RestoreItemView = z.infer<typeof restoreItemView>;

export const listRestoreItems = endpoint({
  method: 'GET',
  path: '/restore-report/:restore',
  tag,
  summary:
    'What one restore changed: revocations that were kept, and entries that follow the rows again (the first 10000)',
  access: OPERATORS,
  params: z.strictObject({ restore: z.uuid() }),
  query: z.strictObject({ ...pageQuery, kind: z.enum(['kept', 'changed']).optional() }),
  answers: { 200: pageOf(restoreItemView) },
  errors: ['not_found'],
});
