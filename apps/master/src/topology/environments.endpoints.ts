import { environmentId } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'environments';
const params = z.strictObject({ environment: environmentId });

export const environmentView = z
  .object({
    id: environmentId,
    position: z.int().meta({ description: 'Its place in the pipeline; lower ones come first.' }),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Environment' });
export type EnvironmentView = z.infer<typeof environmentView>;

const positionText = 'must be a whole number from 0 to 1000000';

export const environmentFields = z.strictObject({
  id: environmentId.refine((id) => id !== 'all', 'must not be "all", which stands for every environment'),
  position: z.int(positionText).min(0, positionText).max(1_000_000, positionText),
});

export const createEnvironment = endpoint({
  method: 'POST',
  path: '/environments',
  tag,
  summary: 'Make an environment, and with it its chain of revisions',
  description: 'Every plan goes onto its chain. The id cannot be changed: it is part of all that is signed.',
  access: OPERATORS,
  body: environmentFields.meta({ example: { id: 'prod', position: 30 } }),
  answers: { 201: environmentView },
  errors: ['conflict'],
});

export const listEnvironments = endpoint({
  method: 'GET',
  path: '/environments',
  tag,
  summary: 'List environments in the order of the pipeline',
  access: VIEWERS,
  query: z.strictObject(pageQuery),
  answers: { 200: pageOf(environmentView) },
});

export const getEnvironment = endpoint({
  method: 'GET',
  path: '/environments/:environment',
  tag,
  summary: 'One environment',
  access: VIEWERS,
  params,
  answers: { 200: environmentView },
  errors: ['not_found'],
});

export const deleteEnvironment = endpoint({
  method: 'DELETE',
  path: '/environments/:environment',
  tag,
  summary: 'Delete an environment without regions, placements and keys',
  description:
    'Its chain stays. An environment that is made again under the same id goes on with the next revision: a chain is never rewound.',
  access: OPERATORS,
  params,
  answers: { 204: null },
  errors: ['not_found', 'in_use', 'precondition_failed'],
});
