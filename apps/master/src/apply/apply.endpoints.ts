import { lineOfText } from '#model';
import { z } from 'zod';
import type { ZodOpenApiOverrideMetaContext } from 'zod-openapi';
import { endpoint, VIEWERS } from '../http/endpoint.js';
import { KINDS } from './documents.js';
import { REFUSALS } from './faults.js';

const tag = 'declarative';
const MOST_DOCUMENTS = 50_000;
/** 2,000 APIs of 20 routes have 6 MB as definitions, and several times that as OpenAPI documents. */
const MOST_BYTES = 64 * 1024 * 1024;

export const setName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,63}$/,
    'a set is called by at most 64 lower-case letters, digits, dots, dashes and underscores',
  )
  .meta({ description: 'Who owns these: what a set has made, no other set changes.', example: 'shop' });

/** What the documents say is read later, one by one; a wrong one is named by its pointer. */
const documents = z
  .array(z.unknown())
  .max(MOST_DOCUMENTS, `must have at most ${MOST_DOCUMENTS} documents`)
  .meta({
    override: ({ jsonSchema }: ZodOpenApiOverrideMetaContext) =>
      void Object.assign(jsonSchema, { items: { type: 'object' } }),
  });

const fieldChange = z.object({
  path: z.string().meta({ description: 'JSON pointer to what differs.', example: '/rate/limit' }),
  before: z.unknown().optional().meta({ description: 'Missing where there was nothing.' }),
  after: z.unknown().optional().meta({ description: 'Missing where there is nothing any more.' }),
  large: z.literal(true).optional().meta({ description: 'Both are left out for their size.' }),
  secret: z.literal(true).optional().meta({ description: 'Both are left out: nobody is shown a secret.' }),
});

const refusal = z.object({
  field: z.string().meta({ description: 'JSON pointer into the request.', example: '/documents/3' }),
  problem: z.string(),
  expected: z.string().optional(),
  code: z.enum(REFUSALS).meta({ description: 'What an apply is refused with.' }),
});

const applyAnswer = z
  .object({
    plan: z.string().meta({ description: 'Names exactly these changes; for `expect`.' }),
    applied: z.boolean().meta({ description: 'False of a dry run.' }),
    summary: z.object({ create: z.int(), update: z.int(), delete: z.int(), unchanged: z.int() }),
    changes: z.array(
      z.object({
        action: z.enum(['create', 'update', 'delete', 'unchanged']),
        kind: z.enum(KINDS),
        id: z.string().meta({ example: 'weather:v1' }),
        uuid: z.string().optional().meta({ description: 'What other requests call an application or a webhook.' }),
        fields: z.array(fieldChange),
      }),
    ),
    refused: z.array(refusal).meta({
      description:
        'Of a dry run: what an apply is refused for, as it is asked here: by the role of the caller, or for want of a `reason`.',
    }),
  })
  .meta({ id: 'ApplyPlan' });
export type ApplyAnswer = z.infer<typeof applyAnswer>;

export const applyEndpoint = endpoint({
  method: 'POST',
  path: '/apply',
  tag,
  summary: 'Make it so: everything that documents declare, at once',
  description: `Each document says all of one thing: \`kind\` (${KINDS.join(', ')}), and the fields of the request that makes one. What is not there is
made, what differs is changed, and what is as it says is left alone; it is one transaction, so one revision of each environment. Their schema is
\`GET /v1/apply/schema.json\`.

Everything that is wrong is told at once: \`errors[].field\` is a JSON pointer into the request, such as \`/documents/3/plan\`. The caller needs
the role that the single writes need; for a dry run, the role that reads such things.

A release is made of an API's \`definition\`, or of \`openapi\` and \`overrides\`. \`serve\` places it in environments that have none before them; in
others, releases are promoted, or an operator gives a \`reason\`. With \`prune\`, what the set owns and no document is about is deleted;
without any document only where \`expect\` names that plan.`,
  access: VIEWERS, // for dry runs: see the service
  bodyLimit: MOST_BYTES,
  body: z.strictObject({
    set: setName,
    documents,
    prune: z.boolean().default(false).meta({ description: 'Deletes what belongs to the set and is in no document.' }),
    dryRun: z
      .boolean()
      .default(false)
      .meta({ description: 'Tells all that would be done and all that is wrong, and does nothing.' }),
    take: z.boolean().default(false).meta({ description: 'Makes what belongs to other sets belong to this one.' }),
    reason: lineOfText(500)
      .optional()
      .meta({ description: 'Why releases are placed past promotion; for the audit log.' }),
    expect: z
      .string()
      .max(100)
      .optional()
      .meta({ description: 'The `plan` that was looked at; another one is refused.' }),
  }),
  answers: { 200: applyAnswer },
  errors: [
    'malformed_json',
    'body_too_large',
    'documents_invalid',
    'owned_elsewhere',
    'prune_unconfirmed',
    'plan_changed',
  ],
});

export const exportEndpoint = endpoint({
  method: 'GET',
  path: '/export',
  tag,
  summary: 'Documents of what there is, as apply takes them',
  description: `A document a line (NDJSON), in an order in which each comes after what it refers to, of one state of the database. Without \`set\`: all
that there is. An API comes with its newest release as a definition, and with where that serves in environments that have none before them. There
are no keys and no secrets, and no things that the caller may not read: \`Heliograph-Left-Out\` names such kinds. An answer that breaks off is not
complete.`,
  access: VIEWERS,
  query: z.strictObject({ set: setName.optional() }),
  produces: 'application/x-ndjson',
  answers: { 200: z.string() },
  errors: ['too_many_exports'],
});

export const schemaEndpoint = endpoint({
  method: 'GET',
  path: '/apply/schema.json',
  tag,
  summary: 'The JSON Schema of documents in files, for editors',
  access: 'public',
  produces: 'application/schema+json',
  answers: { 200: z.record(z.string(), z.unknown()) },
});
