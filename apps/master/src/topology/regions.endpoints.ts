import { environmentId, regionId } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'regions';
const params = z.strictObject({ region: regionId });

export const regionView = z
  .object({ id: regionId, environment: environmentId, createdAt: z.iso.datetime() })
  .meta({ id: 'Region' });
export type RegionView = z.infer<typeof regionView>;

export const regionFields = z.strictObject({ id: regionId, environment: environmentId });

export const createRegion = endpoint({
  method: 'POST',
  path: '/regions',
  tag,
  summary: 'Make a region: a data centre of an environment',
  access: OPERATORS,
  body: regionFields.meta({ example: { id: 'eu-west', environment: 'prod' } }),
  answers: { 201: regionView },
  errors: ['conflict', 'unknown_reference'],
});

export const listRegions = endpoint({
  method: 'GET',
  path: '/regions',
  tag,
  summary: 'List regions',
  access: VIEWERS,
  query: z.strictObject({ ...pageQuery, environment: environmentId.optional() }),
  answers: { 200: pageOf(regionView) },
});

export const getRegion = endpoint({
  method: 'GET',
  path: '/regions/:region',
  tag,
  summary: 'One region',
  access: VIEWERS,
  params,
  answers: { 200: regionView },
  errors: ['not_found'],
});

export const deleteRegion = endpoint({
  method: 'DELETE',
  path: '/regions/:region',
  tag,
  summary: 'Delete a region without replicas and placements',
  description: 'Its join tokens go with it.',
  access: OPERATORS,
  params,
  answers: { 204: null },
  errors: ['not_found', 'in_use', 'precondition_failed'],
});
