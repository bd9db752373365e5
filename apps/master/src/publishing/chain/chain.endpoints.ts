import { environmentId } from '#model';
import { z } from 'zod';
import { type EndpointSpec, endpoint } from '../../http/endpoint.js';

const tag = 'replicas';
const number = z.string().regex(/^\d{12}$/, 'is not a number of 12 digits');
const bytes = { 200: z.string().meta({ format: 'binary' }) };
const produces = 'application/octet-stream';
const common = { method: 'GET', tag, access: 'replica', produces } as const;
const errors = ['not_found', 'chain_unavailable'] as const satisfies EndpointSpec['errors'];

export const getChainHead = endpoint({
  ...common,
  path: '/chain/:environment/head.json',
  summary: 'The head of a chain, signed now',
  description:
    'The chain as in the artifact store, object by object, for replicas that do not reach the store. With `If-None-Match`; `HEAD` tells the size.',
  params: z.strictObject({ environment: environmentId }),
  produces: 'application/json',
  answers: bytes,
  errors,
});

export const getChainDelta = endpoint({
  ...common,
  path: '/chain/:environment/delta/:revision',
  summary: "One revision's exact bytes",
  params: z.strictObject({ environment: environmentId, revision: number }),
  answers: bytes,
  errors,
});

export const getChainSegment = endpoint({
  ...common,
  path: '/chain/:environment/segment/:level/:index',
  summary: 'A segment, as it lies in the store',
  params: z.strictObject({ environment: environmentId, level: z.enum(['1', '2', '3']), index: number }),
  answers: bytes,
  errors,
});

export const getChainSnapshot = endpoint({
  ...common,
  path: '/chain/:environment/snapshot/:revision',
  summary: "A snapshot's manifest, as it lies in the store",
  params: z.strictObject({ environment: environmentId, revision: number }),
  answers: bytes,
  errors,
});

export const getChainBlob = endpoint({
  ...common,
  path: '/chain/:environment/blob/:sha256',
  summary: 'The content of one bucket of a snapshot, as it lies in the store',
  params: z.strictObject({ environment: environmentId, sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  answers: bytes,
  errors,
});
