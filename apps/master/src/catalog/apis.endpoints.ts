import { apiId, apiName, apiVersion, contextPath } from '#model';
import { z } from 'zod';
import { endpoint, PUBLISHERS, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'APIs';
export const apiParams = z.strictObject({ api: apiId });

export const apiView = z
  .object({
    id: z.string().meta({ example: 'weather:v1' }),
    name: apiName,
    version: apiVersion,
    context: contextPath,
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
  })
  .meta({ id: 'Api' });
export type ApiView = z.infer<typeof apiView>;

export const apiFields = z.strictObject({ name: apiName, version: apiVersion, context: contextPath.optional() });

export const createApi = endpoint({
  method: 'POST',
  path: '/apis',
  tag,
  summary: 'Make an API: a name and a version, and the path that it is served under',
  description:
    'The context is `/<name>/<version>` unless another is given, and never changes. No two APIs may have contexts that are equal or lie inside one another.',
  access: PUBLISHERS,
  body: apiFields.meta({ example: { name: 'weather', version: 'v1' } }),
  answers: { 201: apiView },
  errors: ['conflict', 'context_taken'],
});

export const listApis = endpoint({
  method: 'GET',
  path: '/apis',
  tag,
  summary: 'List APIs',
  access: VIEWERS,
  query: z.strictObject({ ...pageQuery, name: apiName.optional(), context: contextPath.optional() }),
  answers: { 200: pageOf(apiView) },
});

export const getApi = endpoint({
  method: 'GET',
  path: '/apis/:api',
  tag,
  summary: 'One API',
  access: VIEWERS,
  params: apiParams,
  answers: { 200: apiView },
  errors: ['not_found'],
});

export const deleteApi = endpoint({
  method: 'DELETE',
  path: '/apis/:api',
  tag,
  summary: 'Delete an API with all its releases',
  description: 'Only while it is placed nowhere and nobody is subscribed to it.',
  access: PUBLISHERS,
  params: apiParams,
  answers: { 204: null },
  errors: ['not_found', 'in_use', 'precondition_failed'],
});
