import { apiId, planId } from '#model';
import { z } from 'zod';
import { endpoint, VIEWERS, WRITERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'subscriptions';
const params = z.strictObject({ subscription: z.uuid('must be the id of a subscription, a UUID') });
const applicationId = z.uuid('must be the id of an application, a UUID');

export const subscriptionFields = z.strictObject({ application: applicationId, api: apiId, plan: planId });

export const subscriptionView = z
  .object({
    id: z.uuid(),
    application: z.uuid(),
    api: z.string(),
    plan: z.string(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Subscription' });
export type SubscriptionView = z.infer<typeof subscriptionView>;

export const createSubscription = endpoint({
  method: 'POST',
  path: '/subscriptions',
  tag,
  summary: 'Subscribe an application to an API on a plan',
  description:
    'It holds in every environment in which the application has a key. The plan has to be one that a release of the API offers.',
  access: WRITERS,
  body: subscriptionFields.meta({
    example: { application: '7f0b2f4e-0d0c-4f1e-9a55-0f6b4b6f8a10', api: 'weather:v1', plan: 'gold' },
  }),
  answers: { 201: subscriptionView },
  errors: ['unknown_reference', 'conflict'],
});

export const listSubscriptions = endpoint({
  method: 'GET',
  path: '/subscriptions',
  tag,
  summary: 'List subscriptions, oldest first',
  access: VIEWERS,
  query: z.strictObject({
    ...pageQuery,
    application: applicationId.optional(),
    api: apiId.optional(),
    plan: planId.optional(),
  }),
  answers: { 200: pageOf(subscriptionView) },
});

export const getSubscription = endpoint({
  method: 'GET',
  path: '/subscriptions/:subscription',
  tag,
  summary: 'One subscription',
  access: VIEWERS,
  params,
  answers: { 200: subscriptionView },
  errors: ['not_found'],
});

export const updateSubscription = endpoint({
  method: 'PATCH',
  path: '/subscriptions/:subscription',
  tag,
  summary: 'Move a subscription to another plan',
  access: WRITERS,
  params,
  body: z.strictObject({ plan: planId }),
  answers: { 200: subscriptionView },
  errors: ['not_found', 'unknown_reference', 'precondition_required', 'precondition_failed'],
});

export const deleteSubscription = endpoint({
  method: 'DELETE',
  path: '/subscriptions/:subscription',
  tag,
  summary: 'End a subscription',
  access: WRITERS,
  params,
  answers: { 204: null },
  errors: ['not_found', 'precondition_failed'],
});
