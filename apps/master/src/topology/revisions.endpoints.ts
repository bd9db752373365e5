import { environmentId } from '#model';
import { z } from 'zod';
import { endpoint, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'revisions';
const params = z.strictObject({ environment: environmentId });

const hash = z.string().meta({ description: 'Hexadecimal.' });
const summary = {
  environment: environmentId,
  revision: z.int(),
  epoch: z.int(),
  hash,
  root: hash.meta({ description: 'State root: what every replica has to have after it.' }),
  issuedAt: z.iso.datetime(),
  ops: z.int().meta({ description: 'How many entries it changes.' }),
  bytes: z.int().meta({ description: 'Size of header and body.' }),
};

export const getHead = endpoint({
  method: 'GET',
  path: '/environments/:environment/head',
  tag,
  summary: 'Where the chain of an environment stands',
  access: VIEWERS,
  params,
  answers: {
    200: z
      .object({
        environment: environmentId,
        epoch: z.int().meta({ description: 'Term of office of the master that publishes.' }),
        revision: z.int().meta({ description: '0: nothing was published yet.' }),
        hash,
        root: hash.nullable(),
        storedRevision: z.int().meta({ description: 'Up to there the artifact store has it.' }),
      })
      .meta({ id: 'ChainHead' }),
  },
  errors: ['not_found'],
});

export const listRevisions = endpoint({
  method: 'GET',
  path: '/environments/:environment/revisions',
  tag,
  summary: 'List revisions of an environment, the newest first',
  access: VIEWERS,
  params,
  query: z.strictObject(pageQuery),
  answers: { 200: pageOf(z.object(summary).meta({ id: 'RevisionSummary' })) },
  errors: ['not_found'],
});

export const getRevision = endpoint({
  method: 'GET',
  path: '/environments/:environment/revisions/:revision',
  tag,
  summary: 'One revision, and what it changes',
  access: VIEWERS,
  params: params.extend({
    revision: z
      .string()
      .regex(/^[1-9]\d{0,14}$/, 'must be a whole number from 1')
      .transform(Number),
  }),
  answers: {
    200: z
      .object({
        ...summary,
        previous: hash,
        minReader: z.int(),
        keyId: z.string(),
        changes: z
          .array(
            z.object({
              op: z.enum(['put', 'delete']),
              table: z.string(),
              key: z.string(),
              value: z.unknown().optional(),
            }),
          )
          .meta({ description: 'The first 1000.' }),
      })
      .meta({ id: 'Revision' }),
  },
  errors: ['not_found'],
});
