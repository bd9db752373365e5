import { environmentId, regionId } from '#model';
import { z } from 'zod';
import { endpoint, VIEWERS } from '../http/endpoint.js';
import { PROMOTION_STATES } from '../promotions/promotion-machine.js';
import { replicaView } from './replicas.endpoints.js';

const environmentStatus = z
  .object({
    id: environmentId,
    state: z.enum(['publishing', 'waiting', 'fenced']).meta({ description: 'As in its office.' }),
    problem: z.string().nullable().meta({ description: 'What keeps it from being published, or from being stored.' }),
    epoch: z.int(),
    revision: z.int().meta({ description: 'Its head.' }),
    storedRevision: z.int().meta({ description: 'Up to there the artifact store has the chain.' }),
    leader: z.string().nullable().meta({ description: 'The process that took office last.' }),
    waiting: z.int().meta({ description: 'Changes that are written and not published yet; 100000 also for more.' }),
    waitingSeconds: z.number().meta({ description: 'How long the oldest of them has waited.' }),
    promotions: z.array(
      z.object({
        id: z.uuid(),
        apis: z.array(z.string()),
        state: z.enum(PROMOTION_STATES),
        wave: z.int(),
        waves: z.int(),
        since: z.iso.datetime(),
      }),
    ),
    regions: z.array(z.object({ id: regionId, replicas: z.array(replicaView) })),
  })
  .meta({ id: 'EnvironmentStatus' });

const systemStatus = z
  .object({
    at: z.iso.datetime().meta({ description: "By the master's clock." }),
    instance: z.string().meta({ description: 'The process that answers.' }),
    version: z.string(),
    environments: z.array(environmentStatus).meta({ description: 'In the order of the pipeline.' }),
  })
  .meta({ id: 'SystemStatus' });
export type SystemStatus = z.infer<typeof systemStatus>;

export const getStatus = endpoint({
  method: 'GET',
  path: '/status',
  tag: 'status',
  summary: 'Everything on one screen: environments, who leads, open promotions, regions and their replicas',
  access: VIEWERS,
  query: z.strictObject({ environment: environmentId.optional() }),
  answers: { 200: systemStatus },
  errors: ['not_found'],
});
