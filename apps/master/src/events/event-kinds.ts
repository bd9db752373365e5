import { z } from 'zod';
import { PROMOTION_STATES, type PromotionState } from '../promotions/promotion-machine.js';

const time = z.iso.datetime();
const release = z.object({ api: z.string(), release: z.string().meta({ description: 'Its digest.' }) });

const promotion = z
  .object({
    input: z
      .string()
      .meta({ description: 'What made it come into this state: create, start, acknowledged, failed ...' }),
    wave: z.int().meta({ description: 'The wave that has begun last, from 1; 0: none has.' }),
    releases: z.array(release),
    regions: z.array(z.string()).optional().meta({ description: 'Of the wave, where one begins.' }),
    because: z
      .object({
        detail: z.string().meta({ description: 'One sentence for people.' }),
        actor: z.string().nullable().meta({ description: 'Null: it found out by itself.' }),
        gate: z.string().optional(),
        regions: z.array(z.string()).optional(),
        replicas: z.array(z.string()).optional(),
        finding: z.unknown().optional(),
      })
      .nullable()
      .meta({ description: 'Why, where it did not just go on.' }),
    waves: z.array(z.object({ regions: z.array(z.string()), soak: z.number() })).optional(),
    reason: z.string().nullable().optional(),
  })
  .meta({ id: 'PromotionEventData' });
export type PromotionEventData = z.infer<typeof promotion>;

const credential = z
  .object({
    kind: z
      .enum(['key', 'client', 'outside-client', 'access-token', 'token'])
      .meta({ description: '`access-token`: one of this API; `token`: one that a client was issued.' }),
    id: z.string(),
    application: z.string().nullable().meta({ description: 'Null for an access token of this API.' }),
    name: z.string().nullable(),
    expiresAt: time.nullable(),
    reason: z.string().nullable().optional().meta({ description: 'As whoever revoked or reported it has said.' }),
    replacedBy: z.string().nullable().optional().meta({ description: 'The key that a rotated one is followed by.' }),
    notBefore: time.optional().meta({ description: 'Tokens that were issued before are taken no more.' }),
  })
  .meta({ id: 'CredentialEventData', description: 'Never a secret, nor a hash of one.' });
export type CredentialEventData = z.infer<typeof credential>;

const replica = z
  .object({
    replica: z.string(),
    region: z.string(),
    reason: z.enum(['silent', 'old-head', 'halted', 'none']).meta({
      description:
        '`silent`: nothing was heard of it; `old-head`: what it serves is not known to be the newest; `halted`: it cannot go on by itself.',
    }),
    before: z.enum(['well', 'stale', 'halted']),
    revision: z.int().nullable(),
    heardAt: time.nullable(),
    detail: z.string().nullable().meta({ description: 'Its last error.' }),
  })
  .meta({ id: 'ReplicaEventData' });

const office = z
  .object({
    reason: z.enum(['replaced', 'fork', 'empty_database']),
    epoch: z.int(),
    revision: z.int(),
    replica: z.string().nullable().meta({ description: 'Who has that revision; null: the store.' }),
    detail: z.string(),
  })
  .meta({ id: 'OfficeEventData' });

const nothing = z.object({}).meta({ id: 'TestEventData' });

const CREDENTIAL_TYPES = {
  'credential.issued': 'There is a new one.',
  'credential.rotated': 'It was given another secret, or a key that follows it.',
  'credential.revoked': 'It is taken no more.',
  'credential.tokens-revoked': 'The tokens that it had obtained are taken no more.',
  'credential.leaked':
    'It was found where it should not be, and is taken no more: a key, or the secret of a client with all its tokens.',
  'credential.expired': 'Its time is over; told a minute later, and once.',
} as const;
const REPLICA_TYPES = {
  'replica.stale': 'Nothing was heard of it for a minute, or it does not know the newest revision for too long.',
  'replica.halted': 'It stands still, and goes on only when somebody helps.',
  'replica.recovered': 'It is neither stale nor halted any more.',
} as const;
const OFFICE_TYPES = {
  'chain.fork': 'The store has another history than this database: nothing is published until somebody decides.',
  'master.fenced': 'Another master publishes the environment: this one must not until somebody decides.',
} as const;

type CredentialType = keyof typeof CREDENTIAL_TYPES;
export type EventType =
  | `promotion.${PromotionState}`
  | CredentialType
  | keyof typeof REPLICA_TYPES
  | keyof typeof OFFICE_TYPES
  | 'webhook.test';

/** What is told of one thing that has happened. `data` has the form of its type, and never a secret. */
export interface NewEvent {
  type: EventType;
  /** `<kind>/<id>`: events about the same one have an order */
  subject: string;
  environment: string | null;
  data: object;
}

const kinds = <T extends string>(
  types: Record<T, string>,
  data: z.ZodType,
): [T, { means: string; data: z.ZodType }][] =>
  Object.entries<string>(types).map(([type, means]) => [type as T, { means, data }]);

/** Every type of an event, with what it means and the form of its `data`. A type keeps its meaning, and its form only grows. */
export const EVENT_KINDS: ReadonlyMap<string, { means: string; data: z.ZodType }> = new Map([
  ...PROMOTION_STATES.map(
    (state) => [`promotion.${state}`, { means: `It is ${state} from now on.`, data: promotion }] as const,
  ),
  ...kinds(CREDENTIAL_TYPES, credential),
  ...kinds(REPLICA_TYPES, replica),
  ...kinds(OFFICE_TYPES, office),
  ['webhook.test', { means: 'Somebody tries a webhook out.', data: nothing }],
]);

/** As `/v1/events` shows one, and the body of a webhook's request. */
export const eventView = z
  .object({
    id: z.uuid().meta({ description: 'Also the `webhook-id` of each delivery: what comes twice has it twice.' }),
    type: z.string().meta({
      description: [...EVENT_KINDS].map(([type, { means }]) => `- \`${type}\`: ${means}`).join('\n'),
      example: 'promotion.completed',
    }),
    timestamp: time.meta({ description: 'When it happened.' }),
    subject: z.string().meta({ description: 'What it is about; events of one subject are in order.' }),
    environment: z.string().nullable(),
    actor: z.string().meta({ description: 'Who did it: an access token, `promotion/<id>`, `system`.' }),
    data: z.union([promotion, credential, replica, office, nothing]).meta({ description: 'As the type says.' }),
  })
  .meta({ id: 'Event' });
export type EventView = z.infer<typeof eventView>;

type CredentialView = {
  id: string;
  environment?: string;
  application?: string;
  name?: string | null;
  expiresAt?: string | null;
};

/** @param what as in `credential.<what>` */
export function credentialEvent(
  what: CredentialType,
  kind: CredentialEventData['kind'],
  { id, environment, application, name, expiresAt }: CredentialView,
  more: Partial<CredentialEventData> = {},
): NewEvent {
  const data: CredentialEventData = {
    kind,
    id,
    application: application ?? null,
    name: name ?? null,
    expiresAt: expiresAt ?? null,
    ...more,
  };
  return { type: what, subject: `${kind}/${id}`, environment: environment ?? null, data };
}

/** What can be done to a client, as the audit log calls it. */
export type Withdrawal = 'revoke' | 'revoke-tokens';

export function withdrawnEvent(
  kind: CredentialEventData['kind'],
  how: Withdrawal,
  view: CredentialView & { revokedReason: string | null; notBefore: string | null },
): NewEvent {
  return how === 'revoke'
    ? credentialEvent('credential.revoked', kind, view, { reason: view.revokedReason })
    : credentialEvent('credential.tokens-revoked', kind, view, { notBefore: view.notBefore ?? undefined });
}
