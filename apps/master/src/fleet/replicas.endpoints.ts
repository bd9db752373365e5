import { environmentId, regionId, replicaId, replicaStatus, SYNC_STATES } from '#model';
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
    connected: z.boolean().meta({ description: 'Whether it has a stream to a master now.' }),
    connectedTo: z.string().nullable().meta({ description: 'The master instance that it is connected to.' }),
    connectedSince: z.iso.datetime().nullable(),
    state: status.state.nullable().meta({ description: 'null until the first report.' }),
    stateSince: z.iso.datetime().nullable(),
    source: status.source.nullable().meta({ description: 'Where its newest revision came from.' }),
    freshness: status.freshness.nullable(),
    epoch: z.int().nullable(),
    revision: z.int().nullable(),
    behind: z.int().nullable().meta({ description: 'Revisions of the chain that it has not got.' }),
    behindMs: z
      .number()
      .nullable()
      .meta({ description: 'Since the first revision that it has not got was issued; 0 when it has all.' }),
    lagMs: z
      .number()
      .nullable()
      .meta({ description: 'From the issue of its revision to when it was loaded there, by two clocks.' }),
    rootMatches: z
      .boolean()
      .nullable()
      .meta({ description: 'Whether the state root of its last report is the one of that revision; null: not known.' }),
    reportedAt: z.iso.datetime().nullable(),
    silentForSeconds: z.number().nullable().meta({ description: 'Since the last report; replicas report every 5 s.' }),
    nacks: z.int().meta({ description: 'Items that it cannot use.' }),
    throttle: status.throttle
      .nullable()
      .meta({ description: '`shared`: limits are counted for the whole region, in its Redis; `local`: on this node.' }),
    traffic: status.traffic
      .unwrap()
      .nullable()
      .meta({ description: 'Answers of the last half minute, and of them those with 500 and above.' }),
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
  summary: 'List replicas: where each is connected, and how far behind',
  access: VIEWERS,
  query: z.strictObject({
    ...pageQuery,
    environment: environmentId.optional(),
    region: regionId.optional(),
    state: z.enum(SYNC_STATES, `must be one of ${SYNC_STATES.join(', ')}`).optional(),
    connected: z.enum(['true', 'false'], 'must be true or false').optional(),
  }),
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
