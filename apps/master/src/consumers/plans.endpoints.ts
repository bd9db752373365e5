import { limitPair, planId, planLimits, quotaLimit, rateLimit } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'plans';
const params = z.strictObject({ plan: planId });

export const planView = z
  .object({
    id: planId,
    rate: rateLimit.nullable(),
    quota: quotaLimit.nullable(),
    perRoute: limitPair.nullable(),
    perApi: limitPair.nullable(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Plan' });
export type PlanView = z.infer<typeof planView>;

export const planFields = planLimits.extend({
  id: planId,
  perRoute: limitPair.nullish(),
  perApi: limitPair.nullish(),
});

export const createPlan = endpoint({
  method: 'POST',
  path: '/plans',
  tag,
  summary: 'Make a plan',
  description: `Limits hold in each region by itself: \`rate\` and \`quota\` for each subscription, or for each address of a client where a route
is open; those of \`perRoute\` for each of them on each route; those of \`perApi\` for all of this plan together on an API. A request takes of all or
of none. \`burst\` is how many requests may come at once; it defaults to \`limit\`.`,
  access: OPERATORS,
  body: planFields.meta({
    example: {
      id: 'gold',
      rate: { limit: 100, per: 'second', burst: 200 },
      quota: { limit: 1_000_000, per: 'month' },
      perRoute: { rate: { limit: 20, per: 'second' } },
    },
  }),
  answers: { 201: planView },
  errors: ['conflict'],
});

export const listPlans = endpoint({
  method: 'GET',
  path: '/plans',
  tag,
  summary: 'List plans',
  access: VIEWERS,
  query: z.strictObject(pageQuery),
  answers: { 200: pageOf(planView) },
});

export const getPlan = endpoint({
  method: 'GET',
  path: '/plans/:plan',
  tag,
  summary: 'One plan',
  access: VIEWERS,
  params,
  answers: { 200: planView },
  errors: ['not_found'],
});

export const updatePlan = endpoint({
  method: 'PATCH',
  path: '/plans/:plan',
  tag,
  summary: 'Change limits of a plan',
  description:
    'What is left out stays; `null` takes a limit away. It reaches all who are on the plan; what they have used counts on.',
  access: OPERATORS,
  params,
  body: z.strictObject({
    rate: rateLimit.nullish(),
    quota: quotaLimit.nullish(),
    perRoute: limitPair.nullish(),
    perApi: limitPair.nullish(),
  }),
  answers: { 200: planView },
  errors: ['not_found', 'precondition_required', 'precondition_failed'],
});

export const deletePlan = endpoint({
  method: 'DELETE',
  path: '/plans/:plan',
  tag,
  summary: 'Delete a plan that no subscription uses, and no release for its open routes',
  access: OPERATORS,
  params,
  answers: { 204: null },
  errors: ['not_found', 'in_use', 'precondition_failed'],
});
