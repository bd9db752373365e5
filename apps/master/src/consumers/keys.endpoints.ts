import { environmentId, ipList, lineOfText, scopeList } from '#model';
import { z } from 'zod';
import { endpoint, VIEWERS, WRITERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'keys';
const application = z.uuid('must be the id of an application, a UUID');
const params = z.strictObject({ application, key: z.uuid('must be the id of a key, a UUID') });

const name = lineOfText(200);
/** the chain keeps whole seconds in 32 bits */
export const expiresAt = z.iso
  .datetime({ offset: true, error: 'must be a time in ISO 8601, like 2030-01-01T00:00:00Z', abort: true })
  .refine((text) => Date.parse(text) <= 0xffff_ffff * 1000, {
    error: 'must be before the year 2106',
    abort: true,
  });
const futureExpiry = expiresAt.refine((text) => Date.parse(text) > Date.now(), 'must be in the future');
export const reason = lineOfText(500);

/** When a key ends: at a whole second, rounded up, as the chain has it, so that answers and gateways say the same. */
export function endOf(at: string | number): Date {
  return new Date(Math.ceil(new Date(at).getTime() / 1000) * 1000);
}

export const keyView = z
  .object({
    id: z.uuid(),
    application,
    environment: z.string(),
    name: z.string().nullable(),
    hint: z
      .string()
      .nullable()
      .meta({ description: 'The beginning of the secret, to tell keys apart; null for imported hashes.' }),
    scopes: z.array(z.string()).meta({ description: 'What it may be used for beside routes that require no scope.' }),
    ips: z
      .array(z.string())
      .nullable()
      .meta({ description: 'Addresses and CIDR blocks that it may be used from; null: any.' }),
    status: z.enum(['active', 'expired', 'revoked']),
    expiresAt: z.iso.datetime().nullable(),
    revokedAt: z.iso.datetime().nullable(),
    revokedReason: z.string().nullable(),
    replacedBy: z.uuid().nullable(),
    lastUsedAt: z.iso
      .datetime()
      .nullable()
      .meta({ description: 'The hour in which it was used last, as far as replicas have told; null: in none.' }),
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
  })
  .meta({ id: 'Key' });
export type KeyView = z.infer<typeof keyView>;

export const issuedKeyView = keyView
  .extend({ secret: z.string().meta({ description: 'The key itself. It is shown this once and kept nowhere.' }) })
  .meta({ id: 'IssuedKey' });
export type IssuedKeyView = z.infer<typeof issuedKeyView>;

export const issueKey = endpoint({
  method: 'POST',
  path: '/applications/:application/keys',
  tag,
  summary: 'Issue a key for one environment',
  description:
    "The answer shows the secret, once. It works in every region of the environment within the replicas' poll interval.",
  access: WRITERS,
  params: z.strictObject({ application }),
  body: z
    .strictObject({
      environment: environmentId,
      name: name.optional(),
      scopes: scopeList.optional(),
      ips: ipList.optional(),
      expiresAt: futureExpiry.optional(),
    })
    .meta({ example: { environment: 'prod', name: 'ci', scopes: ['orders:read'], ips: ['192.0.2.0/24'] } }),
  answers: { 201: issuedKeyView },
  errors: ['not_found', 'unknown_reference'],
});

export const listKeys = endpoint({
  method: 'GET',
  path: '/applications/:application/keys',
  tag,
  summary: 'List the keys of an application, oldest first',
  access: VIEWERS,
  params: z.strictObject({ application }),
  query: z.strictObject({ ...pageQuery, environment: environmentId.optional() }),
  answers: { 200: pageOf(keyView) },
  errors: ['not_found'],
});

export const getKey = endpoint({
  method: 'GET',
  path: '/applications/:application/keys/:key',
  tag,
  summary: 'One key, without its secret',
  access: VIEWERS,
  params,
  answers: { 200: keyView },
  errors: ['not_found'],
});

export const updateKey = endpoint({
  method: 'PATCH',
  path: '/applications/:application/keys/:key',
  tag,
  summary: "Change an active key's name, scopes, addresses or end",
  description: [
    'What is given replaces what was; `null` takes it away: no name, any address, no end. A narrower key is narrower in a region as',
    'soon as that has the revision of the answer. A key that was rotated can be given more time so.',
  ].join(' '),
  access: WRITERS,
  params,
  body: z
    .strictObject({
      name: name.nullable().optional(),
      scopes: scopeList.optional(),
      ips: ipList.nullable().optional(),
      expiresAt: futureExpiry.nullable().optional(),
    })
    .meta({ example: { scopes: ['orders:read', 'orders:write'] } }),
  answers: { 200: keyView },
  errors: ['not_found', 'conflict', 'precondition_required', 'precondition_failed'],
});

export const rotateKey = endpoint({
  method: 'POST',
  path: '/applications/:application/keys/:key/rotate',
  tag,
  summary: 'Issue a successor; the old key works on for the overlap',
  description: 'The successor has the name, scopes and addresses of the old key.',
  access: WRITERS,
  params,
  body: z
    .strictObject({
      overlapSeconds: z
        .int('must be a whole number of seconds')
        .min(0)
        .max(90 * 86_400, 'must be at most 90 days')
        .default(86_400)
        .meta({ description: 'How long the old key goes on working, up to a whole second; default one day.' }),
      expiresAt: futureExpiry.nullable().optional().meta({
        description:
          'Of the new key; null: never. Without it the new key lasts as long from now on as the old one did from its issue.',
      }),
    })
    .prefault({}),
  answers: { 201: issuedKeyView },
  errors: ['not_found', 'conflict'],
});

export const revokeKey = endpoint({
  method: 'POST',
  path: '/applications/:application/keys/:key/revoke',
  tag,
  summary: 'Revoke a key, for ever',
  description: 'Revoking a revoked key changes nothing and is no error.',
  access: WRITERS,
  params,
  body: z.strictObject({ reason: reason.optional() }).optional(),
  answers: { 200: keyView },
  errors: ['not_found'],
});
