import { environmentId, tokenAlgorithm } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS, VIEWERS } from '../../http/endpoint.js';
import { pageOf, pageQuery } from '../../http/paging.js';

const tag = 'issuers';
const environment = z.strictObject({ environment: environmentId });
const params = environment.extend({ issuer: z.uuid('must be the id of an issuer, a UUID') });

const printable = (max: number) =>
  z
    .string()
    .max(max, `must have at most ${max} characters`)
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces');
const url = (max: number) =>
  printable(max).refine((text) => {
    if (!/^https?:\/\/./.test(text) || !URL.canParse(text)) return false;
    const { username, password, hash } = new URL(text);
    return username === '' && password === '' && hash === '';
  }, 'must be an http or https URL without user and fragment');
/** As its tokens have it in `iss`, to the letter. */
export const issuerName = url(512).refine((text) => !text.includes('?'), 'must not have a query');

const fields = {
  jwksUri: url(2048)
    .nullable()
    .meta({ description: 'Where its keys are; null: as its metadata says (OpenID Connect Discovery, or RFC 8414).' }),
  audiences: z
    .array(printable(512))
    .min(1, 'must name at least one')
    .max(16, 'has at most 16')
    .refine((list) => new Set(list).size === list.length, 'names one twice')
    .meta({ description: 'A token has to be meant for one of these (`aud`).' }),
  claim: printable(128).meta({
    description: 'The claim that names the client: `client_id`, or `azp`, `appid`, `sub` as the issuer has it.',
  }),
  algorithms: z
    .array(tokenAlgorithm)
    .min(1, 'must name at least one')
    .refine((list) => new Set(list).size === list.length, 'names one twice')
    .meta({ description: 'By which its tokens may be signed. None of them is symmetric.' }),
};

export const issuerView = z
  .object({
    id: z.uuid(),
    environment: z.string(),
    issuer: z.string(),
    ...fields,
    keys: z
      .array(z.object({ kid: z.string().nullable(), kty: z.string(), alg: z.string() }))
      .meta({ description: 'In force: what gateways verify its tokens by.' }),
    refused: z
      .array(z.object({ kid: z.string().nullable(), problem: z.string() }))
      .meta({ description: 'Keys that it shows and that are not used.' }),
    fetchedFrom: z.string(),
    fetchedAt: z.iso.datetime().meta({ description: 'When the keys were last seen to be these.' }),
    nextFetchAt: z.iso.datetime(),
    failures: z.int().meta({ description: 'How often in a row they could not be fetched since.' }),
    lastError: z.string().nullable(),
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
  })
  .meta({ id: 'Issuer' });
export type IssuerView = z.infer<typeof issuerView>;

export const createIssuer = endpoint({
  method: 'POST',
  path: '/environments/:environment/issuers',
  tag,
  summary: 'Trust the tokens of an issuer in an environment',
  description: [
    'Its keys are fetched now and then on a schedule, by the master, and reach gateways with the chain: a region that is cut off goes',
    'on. Whose tokens they are is said for each client with `/applications/:application/outside-clients`.',
  ].join(' '),
  access: OPERATORS,
  params: environment,
  body: z
    .strictObject({
      issuer: issuerName,
      jwksUri: fields.jwksUri.default(null),
      audiences: fields.audiences,
      claim: fields.claim.default('client_id'),
      algorithms: fields.algorithms.default(['RS256', 'ES256']),
    })
    .meta({
      example: {
        issuer: 'https://id.example.com/realms/partners',
        audiences: ['https://api.example.com'],
        claim: 'azp',
      },
    }),
  answers: { 201: issuerView },
  errors: ['not_found', 'conflict', 'issuer_unavailable'],
});

export const listIssuers = endpoint({
  method: 'GET',
  path: '/environments/:environment/issuers',
  tag,
  summary: 'List the issuers that an environment trusts, by name',
  access: VIEWERS,
  params: environment,
  query: z.strictObject(pageQuery),
  answers: { 200: pageOf(issuerView) },
  errors: ['not_found'],
});

export const getIssuer = endpoint({
  method: 'GET',
  path: '/environments/:environment/issuers/:issuer',
  tag,
  summary: 'One issuer, with its keys and when they were fetched',
  access: VIEWERS,
  params,
  answers: { 200: issuerView },
  errors: ['not_found'],
});

export const updateIssuer = endpoint({
  method: 'PATCH',
  path: '/environments/:environment/issuers/:issuer',
  tag,
  summary: 'Change what is expected of the tokens of an issuer',
  description: 'Another `jwksUri` or other algorithms: its keys are fetched before it is answered.',
  access: OPERATORS,
  params,
  body: z.strictObject(fields).partial(),
  answers: { 200: issuerView },
  errors: ['not_found', 'precondition_required', 'precondition_failed', 'issuer_unavailable'],
});

export const refreshIssuer = endpoint({
  method: 'POST',
  path: '/environments/:environment/issuers/:issuer/refresh',
  tag,
  summary: 'Fetch the keys of an issuer now',
  description:
    'After it had to change its keys at once, for instance: those that it shows no more are trusted no more.',
  access: OPERATORS,
  params,
  answers: { 200: issuerView },
  errors: ['not_found', 'issuer_unavailable'],
});

export const deleteIssuer = endpoint({
  method: 'DELETE',
  path: '/environments/:environment/issuers/:issuer',
  tag,
  summary: 'Trust an issuer no more; its clients go with it',
  access: OPERATORS,
  params,
  answers: { 204: null },
  errors: ['not_found', 'precondition_failed'],
});
