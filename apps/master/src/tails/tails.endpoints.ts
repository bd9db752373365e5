import { regionId, replicaId, tailFilter } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS } from '../http/endpoint.js';

const description =
  'Server-sent events: `line` is a request as in the access log, with its `replica`; `dropped` says how many `lines` were left out, as more came than are shown (200 a second) or taken; `replicas` says whose lines come, and of whom they are missing. It ends after ten minutes: come back. That somebody looks is in the audit log.';

const common = {
  method: 'GET',
  tag: 'replicas',
  description,
  access: OPERATORS,
  query: tailFilter,
  produces: 'text/event-stream',
  answers: { 200: z.string() },
} as const;

export const tailRegion = endpoint({
  ...common,
  path: '/regions/:region/access-log',
  summary: 'Requests of a region as they are answered',
  params: z.strictObject({ region: regionId }),
  errors: ['not_found', 'too_many_tails', 'fenced_off'],
});

export const tailReplica = endpoint({
  ...common,
  path: '/replicas/:replica/access-log',
  summary: 'Requests of a replica as they are answered',
  params: z.strictObject({ replica: replicaId }),
  errors: ['not_found', 'too_many_tails', 'fenced_off'],
});
