import { environmentId } from '#model';
import { z } from 'zod';
import { ADMINS, endpoint, VIEWERS } from '../http/endpoint.js';

const tag = 'promotions';
const MOST_APPROVALS = 10;
const approvals = `must be a whole number from 0 to ${MOST_APPROVALS}`;

const policyParams = z.strictObject({ environment: environmentId });
export const promotionPolicyView = z
  .object({
    environment: environmentId,
    approvals: z
      .int(approvals)
      .min(0, approvals)
      .max(MOST_APPROVALS, approvals)
      .meta({ description: 'By others than who asks for a promotion into it.' }),
  })
  .meta({ id: 'PromotionPolicy' });
export type PromotionPolicyView = z.infer<typeof promotionPolicyView>;

export const getPromotionPolicy = endpoint({
  method: 'GET',
  path: '/environments/:environment/promotion-policy',
  tag,
  summary: 'What an environment asks of promotions into it',
  access: VIEWERS,
  params: policyParams,
  answers: { 200: promotionPolicyView },
  errors: ['not_found'],
});

export const putPromotionPolicy = endpoint({
  method: 'PUT',
  path: '/environments/:environment/promotion-policy',
  tag,
  summary: 'Set what an environment asks of promotions into it',
  description: 'It holds for promotions that are asked for from then on.',
  access: ADMINS,
  params: policyParams,
  body: promotionPolicyView.omit({ environment: true }).strict(),
  answers: { 200: promotionPolicyView },
  errors: ['not_found', 'precondition_required', 'precondition_failed'],
});
