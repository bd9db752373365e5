import { lineOfText } from '#model';
import { z } from 'zod';
import { endpoint, VIEWERS, WRITERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'applications';
const params = z.strictObject({ application: z.uuid('must be the id of an application, a UUID') });

const name = lineOfText(200);
const owner = lineOfText(200);
export const applicationFields = z.strictObject({ name, owner: owner.nullable().optional() });
export const applicationStatus = z.enum(['active', 'suspended'], 'must be active or suspended');

export const applicationView = z
  .object({
    id: z.uuid(),
    name,
    owner: owner.nullable(),
    status: applicationStatus,
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Application' });
export type ApplicationView = z.infer<typeof applicationView>;

export const createApplication = endpoint({
  method: 'POST',
  path: '/applications',
  tag,
  summary: 'Register an application',
  access: WRITERS,
  body: applicationFields.meta({ example: { name: 'mobile app', owner: 'team-mobile' } }),
  answers: { 201: applicationView },
});

export const listApplications = endpoint({
  method: 'GET',
  path: '/applications',
  tag,
  summary: 'List applications, oldest first',
  access: VIEWERS,
  query: z.strictObject({
    ...pageQuery,
    name: lineOfText(200).optional(),
    owner: lineOfText(200).optional(),
    status: applicationStatus.optional(),
  }),
  answers: { 200: pageOf(applicationView) },
});

export const getApplication = endpoint({
  method: 'GET',
  path: '/applications/:application',
  tag,
  summary: 'One application',
  access: VIEWERS,
  params,
  answers: { 200: applicationView },
  errors: ['not_found'],
});

export const updateApplication = endpoint({
  method: 'PATCH',
  path: '/applications/:application',
  tag,
  summary: 'Rename, hand over, suspend or reactivate an application',
  description:
    'A suspended application keeps its keys and subscriptions; its requests are answered 403 `application_suspended`.',
  access: WRITERS,
  params,
  body: z.strictObject({
    name: name.optional(),
    owner: owner.nullable().optional(),
    status: applicationStatus.optional(),
  }),
  answers: { 200: applicationView },
  errors: ['not_found', 'precondition_required', 'precondition_failed'],
});

export const deleteApplication = endpoint({
  method: 'DELETE',
  path: '/applications/:application',
  tag,
  summary: 'Delete an application with its subscriptions and keys',
  description: 'Its keys stop working in every region, and are unknown from then on.',
  access: WRITERS,
  params,
  answers: { 204: null },
  errors: ['not_found', 'precondition_failed'],
});
