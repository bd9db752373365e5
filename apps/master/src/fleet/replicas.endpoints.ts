import { environmentId, regionId, replicaId, replicaStatus } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'replicas';
const params = z.strictObject({ replica: replicaId });
const status = replicaStatus.shape;

export const replicaView = z
  .object({
    id: replicaId,
    region: regionId,
    environment: environmentId,
    build: z.string(),
    joinedAt: z.iso.datetime(),
    state: status.state.nullable().meta({ description: 'null until the first report.' }),
    freshness: status.freshness.nullable(),
    revision: z.int().nullable(),
    behind: z.int().nullable().meta({ description: 'Revisions of the chain that it has not got.' }),
    reportedAt: z.iso.datetime().nullable(),
    silentForSeconds: z.number().nullable().meta({ description: 'Since the last report; replicas report every 5 s.' }),
    nacks: z.int().meta({ description: 'Items that it cannot use.' }),
    lastError: status.lastError,
  })
  .meta({ id: 'Replica' });
export type ReplicaView = z.infer<typeof replicaView>;

const replicaInFull = replicaView
  .extend({ status: replicaStatus.nullable().meta({ description: 'The last report, whole.' }) })
  .meta({ id: 'ReplicaInFull' });
export type ReplicaInFull = z.infer<typeof replicaInFull>;

export const listReplicas = endpoint({
  method: 'GET',
  path: '/replicas',
  tag,
  summary: 'List replicas, and how far behind each of them is',
  access: VIEWERS,
  query: z.strictObject({ ...pageQuery, environment: environmentId.optional(), region: regionId.optional() }),
  answers: { 200: pageOf(replicaView) },
});

export const getReplica = endpoint({
  method: 'GET',
  path: '/replicas/:replica',
  tag,
  summary: 'One replica with its last report',
  access: VIEWERS,
  params,
  answers: { 200: replicaInFull },
  errors: ['not_found'],
});

export const deleteReplica = endpoint({
  method: 'DELETE',
  path: '/replicas/:replica',
  tag,
  summary: 'Remove a replica',
  description: 'Its token is refused from then on. It goes on serving what it has: stop the process, too.',
  access: OPERATORS,
  params,
  answers: { 204: null },
  errors: ['not_found', 'precondition_failed'],
});

export const reportStatus = endpoint({
  method: 'POST',
  path: '/replicas/status',
  tag,
  summary: 'Report what a replica says of itself',
  access: 'replica',
  bodyLimit: 256 * 1024,
  body: replicaStatus,
  answers: { 204: null },
  errors: ['body_too_large'],
});
