import { apiId, apiIdOf, DEFAULT_REGION, environmentId, planId, regionId } from '#model';
import { z } from 'zod';
import { apiFields, createApi, getApi } from '../catalog/apis.endpoints.js';
import { checkSource, releaseSource } from '../catalog/release-input.js';
import {
  applicationFields,
  applicationStatus,
  createApplication,
  getApplication,
} from '../consumers/applications.endpoints.js';
import { createPlan, getPlan, planFields } from '../consumers/plans.endpoints.js';
import { stableIdOf, stableName } from '../consumers/stable-id.js';
import { createSubscription, getSubscription } from '../consumers/subscriptions.endpoints.js';
import type { EndpointSpec } from '../http/endpoint.js';
import {
  getPromotionPolicy,
  promotionPolicyView,
  putPromotionPolicy,
} from '../promotions/promotion-policy.endpoints.js';
import { createEnvironment, environmentFields, getEnvironment } from '../topology/environments.endpoints.js';
import { createRegion, getRegion, regionFields } from '../topology/regions.endpoints.js';
import { webhookSecret } from '../webhooks/webhook-secret.js';
import { createWebhook, getWebhook, newWebhook } from '../webhooks/webhooks.endpoints.js';

const application = stableName.meta({
  description:
    'Any text; an id is made of it, the same each time, as `POST /v1/import` makes it. A UUID is taken as it is.',
});
const webhook = stableName.meta({
  description: 'Any text; an id is made of it, the same each time. A UUID is taken as it is.',
});

const serve = z
  .record(
    environmentId,
    z.union(
      [
        z.literal(DEFAULT_REGION),
        z.array(regionId).refine((ids) => new Set(ids).size === ids.length, 'names a region twice'),
      ],
      'must be * or a list of region ids',
    ),
  )
  .meta({
    description:
      'Where this release serves: `*`, or a list of regions, for each environment. It is for environments that have none before them; releases reach the others by promotion. What is not named is left alone.',
  });

/** One document of a set: `kind`, and what it says of one thing. All of it: what is left out has its default. */
const SCHEMAS = {
  environment: environmentFields.extend({ kind: z.literal('environment') }),
  region: regionFields.extend({ kind: z.literal('region') }),
  plan: planFields.extend({ kind: z.literal('plan') }),
  api: apiFields
    .extend({ kind: z.literal('api'), ...releaseSource.shape, serve: serve.optional() })
    .superRefine((body, ctx) => {
      checkSource(body, ctx);
      if (body.serve && body.definition === undefined && body.openapi === undefined)
        ctx.addIssue({ code: 'custom', path: ['serve'], message: 'needs a definition or openapi: what is to serve' });
    }),
  application: applicationFields.extend({
    kind: z.literal('application'),
    id: application,
    status: applicationStatus.optional(),
  }),
  subscription: z.strictObject({ kind: z.literal('subscription'), application, api: apiId, plan: planId }),
  'promotion-policy': promotionPolicyView.extend({ kind: z.literal('promotion-policy') }).strict(),
  webhook: newWebhook.extend({
    kind: z.literal('webhook'),
    id: webhook,
    secret: webhookSecret.optional().meta({
      description: 'What requests are signed by. Without it the one that there is stays, or a new one is made.',
    }),
  }),
};

export type Kind = keyof typeof SCHEMAS;
export type DocumentOf<K extends Kind> = z.infer<(typeof SCHEMAS)[K]>;
export type ApplyDocument = { [K in Kind]: DocumentOf<K> }[Kind];

/** In the order in which they are made: each comes after what it refers to. */
export const KINDS = Object.keys(SCHEMAS) as Kind[];

export function isKind(kind: unknown): kind is Kind {
  return typeof kind === 'string' && Object.hasOwn(SCHEMAS, kind);
}

export function schemaOf(kind: Kind): z.ZodType<ApplyDocument> {
  return SCHEMAS[kind];
}

export const applyDocument = z.union(KINDS.map(schemaOf));

/** What a single read and a single write of a kind are, and so who may do that. */
const ENDPOINTS: Record<Kind, { read: EndpointSpec; write: EndpointSpec }> = {
  environment: { read: getEnvironment, write: createEnvironment },
  region: { read: getRegion, write: createRegion },
  plan: { read: getPlan, write: createPlan },
  api: { read: getApi, write: createApi },
  application: { read: getApplication, write: createApplication },
  subscription: { read: getSubscription, write: createSubscription },
  'promotion-policy': { read: getPromotionPolicy, write: putPromotionPolicy },
  webhook: { read: getWebhook, write: createWebhook },
};

/** The roles, beside admin, that may do so with things of a kind. */
export function rolesOf(kind: Kind, what: 'read' | 'write'): readonly string[] {
  const { access } = ENDPOINTS[kind][what];
  return typeof access === 'string' ? [] : access;
}

export function mayRead(role: string, kind: Kind): boolean {
  return role === 'admin' || rolesOf(kind, 'read').includes(role);
}

/** What a document is about, as people read it: `weather:v1`, `crm/weather:v1`. */
export function idOf(document: ApplyDocument): string {
  switch (document.kind) {
    case 'api':
      return apiIdOf(document);
    case 'subscription':
      return `${document.application}/${document.api}`;
    case 'promotion-policy':
      return document.environment;
    default:
      return document.id;
  }
}

/** What a document is about, as the database knows it: two texts may stand for one application, or webhook. */
export function keyOf(document: ApplyDocument): string {
  switch (document.kind) {
    case 'application':
    case 'webhook':
      return stableIdOf(document.id);
    case 'subscription':
      return `${stableIdOf(document.application)}/${document.api}`;
    default:
      return idOf(document);
  }
}
