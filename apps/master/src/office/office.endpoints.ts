import { environmentId } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS, VIEWERS } from '../http/endpoint.js';
import { DECISIONS } from '../publishing/index.js';

const tag = 'office';
const params = z.strictObject({ environment: environmentId });

const fenceView = z.object({
  reason: z.enum(['replaced', 'fork', 'empty_database']).meta({
    description:
      '`replaced`: a master with another database works on this chain. `fork`: the store has another history. ' +
      '`empty_database`: the store has a chain, and this database none of it.',
  }),
  epoch: z.int().meta({ description: "Of the other master's head." }),
  revision: z.int(),
  hash: z.string(),
  keyId: z.string().meta({ description: 'Who signed that head.' }),
  firstDifferent: z
    .int()
    .nullable()
    .meta({ description: 'The first revision that is another one there, as far as it is known.' }),
  replica: z.string().nullable().meta({ description: 'The replica that has that revision; null: the store has it.' }),
  since: z.iso.datetime(),
  detail: z.string(),
});

export const officeView = z
  .object({
    environment: environmentId,
    state: z.enum(['publishing', 'waiting', 'fenced']).meta({
      description: '`waiting`: for what `waitsFor` says, or for a term to begin.',
    }),
    epoch: z.int(),
    revision: z.int(),
    leader: z.string().nullable().meta({ description: 'The process that took office last.' }),
    fence: fenceView.nullable(),
    waitsFor: z.string().nullable().meta({ description: 'As the process that answers knows it: ask the leader.' }),
    decision: z.string().nullable().meta({ description: 'What an operator decided, and what is not carried out yet.' }),
  })
  .meta({ id: 'Office' });
export type OfficeView = z.infer<typeof officeView>;

export const getOffice = endpoint({
  method: 'GET',
  path: '/environments/:environment/office',
  tag,
  summary: 'Whether this master publishes an environment, and what keeps it from that',
  access: VIEWERS,
  params,
  answers: { 200: officeView },
  errors: ['not_found'],
});

export const decideOffice = endpoint({
  method: 'POST',
  path: '/environments/:environment/office',
  tag,
  summary: 'Decide how a master goes on that was replaced, or whose database has gone back in time',
  description: [
    '`adopt`: the chain in the store, or of the replica that the fence names, holds. This database takes over its revisions, then publishes what its own rows say otherwise.',
    '`discard-theirs`: the chain of this database holds. What the store has is written over; replicas that applied it start anew from this chain.',
    '`proceed`: this database is complete, although neither the store nor replicas can tell.',
    'Stop the other master first, or it is fenced off by this one. The first two answer a fence, the third a wait.',
  ].join('\n\n'),
  access: OPERATORS,
  params,
  body: z.strictObject({ decision: z.enum(DECISIONS) }),
  answers: { 202: officeView },
  errors: ['not_found', 'conflict'],
});
