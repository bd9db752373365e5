import { environmentId, regionId, replicaId, SYNC_STATES } from '#model';
import { z } from 'zod';
import { endpoint, VIEWERS } from '../http/endpoint.js';

const counts = { total: z.int(), applied: z.int() };

const convergence = z
  .object({
    environment: environmentId,
    revision: z.int(),
    issuedAt: z.iso
      .datetime()
      .nullable()
      .meta({ description: 'null: it is not known here, the revision came with a snapshot.' }),
    complete: z.boolean().meta({ description: 'Every replica has applied it, and none has another state root.' }),
    replicas: z.object({
      ...counts,
      silent: z.int().meta({ description: 'Missing, and not heard of for a minute: gone, most likely.' }),
    }),
    regions: z.record(regionId, z.object(counts)),
    missing: z
      .array(
        z.object({
          replica: replicaId,
          region: regionId,
          revision: z.int().nullable().meta({ description: 'null: it never said.' }),
          behind: z.int().meta({ description: 'Revisions up to this one that it has not got.' }),
          otherChain: z.boolean().meta({
            description: 'What it says that it has is not of this chain: its numbers do not count.',
          }),
          state: z.enum(SYNC_STATES).nullable(),
          connected: z.boolean(),
          silent: z.boolean(),
          silentForSeconds: z.number().nullable(),
        }),
      )
      .meta({ description: 'Replicas that have not applied it: the first 100, those furthest behind first.' }),
    lastAppliedAt: z.iso.datetime().nullable().meta({
      description:
        'When the last of the replicas that stand at exactly this revision said so; null: none stands there.',
    }),
    roots: z
      .object({
        equal: z.int().meta({
          description: 'Replicas whose state root, at the revision of their last report, is the one of the master.',
        }),
        unknown: z.int().meta({ description: 'Replicas that have not told theirs.' }),
        different: z
          .array(
            z.object({
              replica: replicaId,
              region: regionId,
              revision: z.int(),
              root: z.string(),
              expected: z.string(),
            }),
          )
          .meta({
            description: 'Replicas that hold something else: a fault of theirs, or of their disk. The first 100.',
          }),
      })
      .meta({ description: 'Whether replicas hold what the master holds, as their state roots prove.' }),
  })
  .meta({ id: 'Convergence' });
export type Convergence = z.infer<typeof convergence>;

export const getConvergence = endpoint({
  method: 'GET',
  path: '/environments/:environment/revisions/:revision/convergence',
  tag: 'revisions',
  summary: 'How far a revision has come: which replicas have applied it, and which have not',
  access: VIEWERS,
  params: z.strictObject({
    environment: environmentId,
    revision: z
      .string()
      .regex(/^[1-9]\d{0,14}$/, 'must be a whole number from 1')
      .transform(Number),
  }),
  answers: { 200: convergence },
  errors: ['not_found'],
});
