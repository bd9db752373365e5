import { environmentId, lineOfText } from '#model';
import { z } from 'zod';
import { eventTypePattern } from '../events/event-type.js';
import { endpoint, OPERATORS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'webhooks';
const params = z.strictObject({ webhook: z.uuid('must be the id of a webhook, a UUID') });
const time = z.iso.datetime();
const MOST_OVERLAP_S = 7 * 86_400;
/** Receivers have that long to learn another secret. */
export const OVERLAP_S = 86_400;
export const DELIVERY_STATES = ['waiting', 'delivered', 'dead'] as const;

const unique = (list: readonly string[]): boolean => new Set(list).size === list.length;

const fields = {
  url: z
    .string()
    .max(2048, 'must have at most 2048 characters')
    .regex(/^https?:\/\/[\x21-\x7e]+$/, 'must be an https URL, of printable ASCII without spaces')
    .refine((text) => URL.canParse(text) && isPlain(new URL(text)), 'must be a URL without user, password and fragment')
    .meta({ description: 'https; http and private addresses only in HELIO_WEBHOOK_NETWORKS of the master.' }),
  types: z
    .array(eventTypePattern)
    .min(1, 'must name at least one')
    .max(50, 'has at most 50')
    .refine(unique, 'names one twice')
    .meta({ description: 'Of events: `promotion.completed`, `promotion.*`, or `*` for all.' }),
  environments: z
    .array(environmentId)
    .min(1, 'must name at least one; null: all')
    .max(50, 'has at most 50')
    .refine(unique, 'names one twice')
    .nullable()
    .meta({ description: 'Whose events; null: all. Events of no environment come in any case.' }),
  description: lineOfText(300).nullable(),
  enabled: z
    .boolean()
    .meta({ description: 'False: nothing is sent. What waits goes on later; what happens meanwhile is not for it.' }),
};

function isPlain({ username, password, hash }: URL): boolean {
  return username === '' && password === '' && hash === '';
}

export const webhookView = z
  .object({
    id: z.uuid(),
    ...fields,
    disabledReason: z.string().nullable().meta({ description: 'Where it was disabled by its endpoint.' }),
    problem: z.string().nullable().meta({ description: 'Why nothing can be sent, and what to do.' }),
    failures: z
      .int()
      .meta({ description: 'Attempts that have failed one after the other since it took an event last.' }),
    failingSince: time.nullable(),
    waiting: z.int().meta({ description: 'Deliveries.' }),
    dead: z.int().meta({ description: 'Deliveries that were given up.' }),
    secrets: z
      .array(z.object({ createdAt: time, expiresAt: time.nullable() }))
      .meta({ description: 'By which requests are signed now, the newest first.' }),
    createdAt: time,
    createdBy: z.string(),
  })
  .meta({ id: 'Webhook' });
export type WebhookView = z.infer<typeof webhookView>;

const issuedWebhook = webhookView
  .extend({ secret: z.string().meta({ description: 'Shown this once: `whsec_` and base64.' }) })
  .meta({ id: 'IssuedWebhook' });
export type IssuedWebhookView = z.infer<typeof issuedWebhook>;

export const deliveryView = z
  .object({
    id: z.uuid(),
    event: z.object({ id: z.uuid(), type: z.string(), subject: z.string(), timestamp: time }),
    state: z.enum(DELIVERY_STATES),
    attempts: z.int(),
    nextAttemptAt: time
      .nullable()
      .meta({ description: 'Not before that, and not before those of its subject that wait longer.' }),
    attemptedAt: time.nullable(),
    status: z.int().nullable().meta({ description: 'Of the last answer; null: there was none.' }),
    error: z.string().nullable(),
    excerpt: z.string().nullable().meta({ description: 'The first kilobyte of an answer that was no 2xx.' }),
  })
  .meta({ id: 'WebhookDelivery' });
export type DeliveryView = z.infer<typeof deliveryView>;

export const newWebhook = z
  .strictObject({
    url: fields.url,
    types: fields.types,
    environments: fields.environments.default(null),
    description: fields.description.default(null),
    enabled: fields.enabled.default(true),
  })
  .meta({ example: { url: 'https://hooks.example.com/heliograph', types: ['promotion.*', 'replica.*'] } });
export type NewWebhook = z.infer<typeof newWebhook>;
const change = z.strictObject(fields).partial();
export type WebhookChange = z.infer<typeof change>;

const access = OPERATORS;

export const createWebhook = endpoint({
  method: 'POST',
  path: '/webhooks',
  tag,
  summary: 'Have events sent to a URL',
  description: 'By Standard Webhooks: signed, at least once, and in order for each subject. See docs/webhooks.md.',
  access,
  body: newWebhook,
  answers: { 201: issuedWebhook },
  errors: ['unknown_reference', 'conflict'],
});

export const listWebhooks = endpoint({
  method: 'GET',
  path: '/webhooks',
  tag,
  summary: 'List webhooks, the oldest first',
  access,
  query: z.strictObject(pageQuery),
  answers: { 200: pageOf(webhookView) },
});

export const getWebhook = endpoint({
  method: 'GET',
  path: '/webhooks/:webhook',
  tag,
  summary: 'One webhook, and how it stands',
  access,
  params,
  answers: { 200: webhookView },
  errors: ['not_found'],
});

export const updateWebhook = endpoint({
  method: 'PATCH',
  path: '/webhooks/:webhook',
  tag,
  summary: 'Change a webhook',
  description: 'What waits is sent to the new URL. To enable it again also ends the pause after failures.',
  access,
  params,
  body: change,
  answers: { 200: webhookView },
  errors: ['not_found', 'unknown_reference', 'precondition_required', 'precondition_failed'],
});

export const deleteWebhook = endpoint({
  method: 'DELETE',
  path: '/webhooks/:webhook',
  tag,
  summary: 'Delete a webhook, and all that waits for it',
  access,
  params,
  answers: { 204: null },
  errors: ['not_found', 'precondition_failed'],
});

export const rotateWebhook = endpoint({
  method: 'POST',
  path: '/webhooks/:webhook/rotate',
  tag,
  summary: 'Give a webhook another secret',
  description: 'Until the overlap is over each request has a signature by both.',
  access,
  params,
  body: z.strictObject({
    overlapSeconds: z
      .int()
      .min(0)
      .max(MOST_OVERLAP_S)
      .default(OVERLAP_S)
      .meta({ description: '0: those before end now.' }),
  }),
  answers: { 200: issuedWebhook },
  errors: ['not_found', 'conflict'],
});

export const testWebhook = endpoint({
  method: 'POST',
  path: '/webhooks/:webhook/test',
  tag,
  summary: 'Send a webhook the event webhook.test',
  description: 'Whatever types it asks for. `GET .../deliveries?event=` says what came of it.',
  access,
  params,
  answers: { 202: z.object({ event: z.uuid() }).meta({ id: 'WebhookTest' }) },
  errors: ['not_found', 'conflict'],
});

export const listDeliveries = endpoint({
  method: 'GET',
  path: '/webhooks/:webhook/deliveries',
  tag,
  summary: 'What was sent, waits or was given up, the newest event first',
  access,
  params,
  query: z.strictObject({
    ...pageQuery,
    state: z.enum(DELIVERY_STATES).optional(),
    event: z.uuid().optional(),
    subject: lineOfText(300).optional(),
  }),
  answers: { 200: pageOf(deliveryView) },
  errors: ['not_found'],
});

export const replayDelivery = endpoint({
  method: 'POST',
  path: '/webhooks/:webhook/deliveries/:delivery/replay',
  tag,
  summary: 'Send an event again now',
  description: 'Also one that was delivered. The `webhook-id` stays: receivers that have seen it may leave it out.',
  access,
  params: params.extend({ delivery: z.uuid('must be the id of a delivery, a UUID') }),
  answers: { 200: deliveryView },
  errors: ['not_found'],
});

export const replayDead = endpoint({
  method: 'POST',
  path: '/webhooks/:webhook/replay',
  tag,
  summary: 'Send all events again that were given up',
  access,
  params,
  answers: { 200: z.object({ replayed: z.int() }).meta({ id: 'WebhookReplay' }) },
  errors: ['not_found'],
});
