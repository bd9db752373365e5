import { environmentId, regionId } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'join tokens';
const params = z.strictObject({ token: z.uuid() });

export const joinTokenView = z
  .object({
    id: z.uuid(),
    region: regionId,
    environment: environmentId,
    maxUses: z.int(),
    uses: z.int(),
    expiresAt: z.iso.datetime(),
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
  })
  .meta({ id: 'JoinToken' });
export type JoinTokenView = z.infer<typeof joinTokenView>;

const joinTokenMade = joinTokenView
  .extend({
    token: z.string().meta({ description: 'Shown once.', example: 'hg_join_0123456789abcdef0123456789abcdef01234567' }),
  })
  .meta({ id: 'JoinTokenMade' });
export type JoinTokenMade = z.infer<typeof joinTokenMade>;

const DAY = 86_400;
const lifeText = `must be a whole number of seconds from 60 to ${30 * DAY}`;
const usesText = 'must be a whole number from 1 to 1000';

export const createJoinToken = endpoint({
  method: 'POST',
  path: '/join-tokens',
  tag,
  summary: 'Make a token with which new replicas join a region',
  access: OPERATORS,
  body: z
    .strictObject({
      region: regionId,
      expiresInSeconds: z
        .int(lifeText)
        .min(60, lifeText)
        .max(30 * DAY, lifeText)
        .default(DAY),
      maxUses: z.int(usesText).min(1, usesText).max(1000, usesText).default(1),
    })
    .meta({ example: { region: 'eu-west', expiresInSeconds: DAY, maxUses: 1 } }),
  answers: { 201: joinTokenMade },
  errors: ['unknown_reference'],
});

export const listJoinTokens = endpoint({
  method: 'GET',
  path: '/join-tokens',
  tag,
  summary: 'List join tokens, by region; the tokens themselves are not kept',
  access: OPERATORS,
  query: z.strictObject({ ...pageQuery, environment: environmentId.optional(), region: regionId.optional() }),
  answers: { 200: pageOf(joinTokenView) },
});

export const getJoinToken = endpoint({
  method: 'GET',
  path: '/join-tokens/:token',
  tag,
  summary: 'One join token: how often it was used, and until when it can be',
  access: OPERATORS,
  params,
  answers: { 200: joinTokenView },
  errors: ['not_found'],
});

export const deleteJoinToken = endpoint({
  method: 'DELETE',
  path: '/join-tokens/:token',
  tag,
  summary: 'Withdraw a join token',
  description: 'Replicas that have joined with it stay.',
  access: OPERATORS,
  params,
  answers: { 204: null },
  errors: ['not_found', 'precondition_failed'],
});
