import { apiId, digestHex, environmentId, lineOfText } from '#model';
import { z } from 'zod';
import { ADMINS, endpoint, OPERATORS, VIEWERS, WRITERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';
import { PROMOTION_STATES } from './promotion-machine.js';
import { gates, MOST_REGIONS, region, strategy } from './strategy.js';

const tag = 'promotions';
const params = z.strictObject({ promotion: z.uuid() });
const reason = lineOfText(500).meta({ description: 'For the audit log.' });

const MOST_RELEASES = 50;

const promotedRelease = z.strictObject({ api: apiId, release: digestHex });
const releases = z
  .array(promotedRelease)
  .min(1, 'must have a release')
  .max(MOST_RELEASES, `must have at most ${MOST_RELEASES} releases`)
  .superRefine((all, ctx) => {
    for (const [at, { api }] of all.entries())
      if (all.findIndex((one) => one.api === api) < at)
        ctx.addIssue({ code: 'custom', path: [at, 'api'], message: `names ${api} again` });
  })
  .meta({ description: 'A release set: all of it changes in one revision per wave, or none.' });

const because = z
  .object({
    detail: z.string(),
    actor: z.string().nullable().meta({ description: 'Who asked for it; null: the promotion found out by itself.' }),
    gate: z.string().optional(),
    regions: z.array(z.string()).optional(),
    replicas: z.array(z.string()).optional(),
    finding: z.looseObject({}).optional().meta({ description: 'The numbers that a gate decided on.' }),
  })
  .nullable();

export const promotionView = z
  .object({
    id: z.uuid(),
    kind: z.enum(['promotion', 'rollback']),
    to: environmentId,
    releases: z.array(z.object({ api: z.string(), release: digestHex })),
    state: z.enum(PROMOTION_STATES),
    wave: z.int().meta({ description: 'The one that has begun last, from 1; 0: none has.' }),
    waves: z.array(z.object({ regions: z.array(z.string()), soak: z.int() })),
    gates,
    approvals: z.object({ needed: z.int(), by: z.array(z.string()) }),
    skip: z.boolean(),
    reason: z.string().nullable(),
    because: because.meta({ description: 'Why it is where it is, where it did not just go on.' }),
    waitsFor: z.string().nullable(),
    requestedBy: z.string(),
    createdAt: z.iso.datetime(),
    since: z.iso.datetime().meta({ description: 'When it came into its state.' }),
  })
  .meta({ id: 'Promotion' });
export type PromotionView = z.infer<typeof promotionView>;

export const createPromotion = endpoint({
  method: 'POST',
  path: '/promotions',
  tag,
  summary: 'Bring releases to an environment, wave by wave',
  description: [
    'Name one release by `api` and `release`, or several that change together in `releases`. They must serve in the environment before; an admin may `skip` that, with a reason.',
    'With `Prefer: wait=60` the answer comes at its end, or says 202 and where it is by then; `GET /promotions/:id/events` tells each step.',
  ].join('\n\n'),
  access: WRITERS,
  body: z
    .strictObject({
      api: apiId.optional(),
      release: digestHex.optional(),
      releases: releases.optional(),
      to: environmentId,
      strategy: strategy.prefault({}),
      skip: z.boolean().default(false),
      reason: reason.optional(),
    })
    .superRefine((body, ctx) => {
      const issue = (path: string, message: string): void => ctx.addIssue({ code: 'custom', path: [path], message });
      const one = body.api !== undefined || body.release !== undefined;
      if (body.releases && one) issue('releases', 'is given beside api and release; give one or the other');
      else if (!body.releases && (body.api === undefined || body.release === undefined))
        issue(body.api === undefined ? 'api' : 'release', 'is missing; give api and release, or releases');
      if (body.skip && body.reason === undefined) issue('reason', 'is missing; skip needs one');
    })
    .meta({
      example: { api: 'weather:v1', release: '5f'.repeat(32), to: 'prod', strategy: { waves: [['eu-west'], ['*']] } },
    }),
  answers: { 201: promotionView, 202: promotionView },
  errors: ['unknown_reference', 'not_promotable', 'promotion_open', 'forbidden'],
});
export type NewPromotion = z.infer<NonNullable<(typeof createPromotion)['body']>>;

export const listPromotions = endpoint({
  method: 'GET',
  path: '/promotions',
  tag,
  summary: 'List promotions, the newest first',
  access: VIEWERS,
  query: z.strictObject({
    ...pageQuery,
    environment: environmentId.optional(),
    api: apiId.optional(),
    state: z.enum([...PROMOTION_STATES, 'open']).optional(),
  }),
  answers: { 200: pageOf(promotionView) },
});

export const getPromotion = endpoint({
  method: 'GET',
  path: '/promotions/:promotion',
  tag,
  summary: 'One promotion, and what it waits for',
  access: VIEWERS,
  params,
  answers: { 200: promotionView },
  errors: ['not_found'],
});

export const promotionEvents = endpoint({
  method: 'GET',
  path: '/promotions/:promotion/events',
  tag,
  summary: 'Its events as they happen, until it has ended',
  description:
    'Server-sent events: `event` is the state that it came into, `data` is JSON, `Last-Event-ID` goes on after an event. The stream ends with the promotion; after its last event there is 204.',
  access: VIEWERS,
  params,
  produces: 'text/event-stream',
  answers: { 200: z.string(), 204: null },
  errors: ['not_found'],
});

const action = (name: string, summary: string, access: typeof WRITERS, description?: string) =>
  endpoint({
    method: 'POST',
    path: `/promotions/:promotion/${name}`,
    tag,
    summary,
    description,
    access,
    params,
    body: z.strictObject({ reason }),
    answers: { 200: promotionView },
    errors: ['not_found', 'promotion_state', 'precondition_failed', 'forbidden'],
  });

export const approvePromotion = endpoint({
  ...action(
    'approve',
    'Approve it',
    WRITERS,
    'By somebody else than who asked for it. To approve twice is to approve once.',
  ),
  body: z.strictObject({ comment: lineOfText(500).optional() }),
});
export const rejectPromotion = action('reject', 'Reject it, before it has begun', WRITERS);
export const pausePromotion = action('pause', 'Stop where it is', WRITERS, 'No gate is looked at until it is resumed.');
export const resumePromotion = action('resume', 'Go on with the wave that it stopped in, which soaks anew', WRITERS);
export const abortPromotion = action('abort', 'Give it up: each region gets back what it had', WRITERS);
export const rollbackPromotion = endpoint({
  ...action(
    'rollback',
    'Give each region back what it had before a promotion that is completed',
    OPERATORS,
    'Not where something else has been placed since.',
  ),
  errors: ['not_found', 'promotion_state', 'precondition_failed', 'promotion_open', 'conflict'],
});
export const skipPromotion = action(
  'skip',
  'Do without what it waits for: approvals, acknowledgements, or the rest of the soak and its gates',
  ADMINS,
);

export const createRollback = endpoint({
  method: 'POST',
  path: '/rollbacks',
  tag,
  summary: 'Go back to earlier releases, in any regions, at once',
  description:
    'The releases must have served in the environment. No approval, no waves, no soak: it is for when something is wrong. It is a promotion that begins with rolling back, and can be followed like one.',
  access: OPERATORS,
  body: z.strictObject({
    environment: environmentId,
    releases,
    regions: z
      .array(region)
      .min(1)
      .max(MOST_REGIONS)
      .optional()
      .meta({ description: 'Default: wherever the APIs are placed.' }),
    reason,
  }),
  answers: { 201: promotionView, 202: promotionView },
  errors: ['unknown_reference', 'not_promotable', 'promotion_open'],
});
export type NewRollback = z.infer<NonNullable<(typeof createRollback)['body']>>;
