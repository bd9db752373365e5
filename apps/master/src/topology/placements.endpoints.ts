import { apiId, DEFAULT_REGION, digestHex, environmentId, lineOfText, regionId } from '#model';
import { z } from 'zod';
import { endpoint, OPERATORS, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'placements';
const region = z
  .string()
  .refine((text) => text === DEFAULT_REGION || regionId.safeParse(text).success, 'must be a region id, or *')
  .meta({ description: 'A region of the environment, or `*`: wherever the API has no placement of its own.' });
const params = z.strictObject({ environment: environmentId, api: apiId, region });
const reason = lineOfText(500).meta({ description: 'Why it is not a promotion; for the audit log.' });

export const placementView = z
  .object({
    environment: environmentId,
    api: z.string(),
    region,
    release: digestHex,
    updatedAt: z.iso.datetime(),
    updatedBy: z.string(),
  })
  .meta({ id: 'Placement' });
export type PlacementView = z.infer<typeof placementView>;

export const listPlacements = endpoint({
  method: 'GET',
  path: '/placements',
  tag,
  summary: 'List placements',
  access: VIEWERS,
  query: z.strictObject({
    ...pageQuery,
    environment: environmentId.optional(),
    api: apiId.optional(),
    region: region.optional(),
  }),
  answers: { 200: pageOf(placementView) },
});

export const getPlacement = endpoint({
  method: 'GET',
  path: '/placements/:environment/:api/:region',
  tag,
  summary: 'Which release of an API serves in a region',
  access: VIEWERS,
  params,
  answers: { 200: placementView },
  errors: ['not_found'],
});

export const putPlacement = endpoint({
  method: 'PUT',
  path: '/placements/:environment/:api/:region',
  tag,
  summary: 'Place a release of an API in a region',
  description:
    'Past all promotions, and refused while one of the API is open there. Where the API has no placement there yet, none is needed; replacing one takes its ETag as `If-Match`, so that of two publishers the second notices.',
  access: OPERATORS,
  params,
  body: z.strictObject({ release: digestHex, reason }),
  answers: { 200: placementView, 201: placementView },
  errors: ['not_found', 'unknown_reference', 'precondition_required', 'precondition_failed', 'promotion_open'],
});

export const deletePlacement = endpoint({
  method: 'DELETE',
  path: '/placements/:environment/:api/:region',
  tag,
  summary: 'Stop serving an API in a region',
  description: 'Where the API has a placement for `*`, that one holds from then on.',
  access: OPERATORS,
  params,
  query: z.strictObject({ reason }),
  answers: { 204: null },
  errors: ['not_found', 'precondition_failed', 'promotion_open'],
});

const item = z.strictObject({
  api: apiId,
  region,
  release: digestHex.nullable().meta({ description: '`null` takes the placement away.' }),
});

const MAX_ITEMS = 5000;

export const placeMany = endpoint({
  method: 'POST',
  path: '/placements',
  tag,
  summary: 'Change several placements at once',
  description:
    'All of it or nothing, and in one revision: no gateway ever serves a part. It replaces whatever is placed; there is no If-Match. Each faulty item is named in errors[].',
  access: OPERATORS,
  bodyLimit: 2 * 1024 * 1024,
  body: z.strictObject({
    environment: environmentId,
    reason,
    items: z
      .array(item)
      .min(1, 'must have at least one item')
      .max(MAX_ITEMS, `must have at most ${MAX_ITEMS} items`)
      .superRefine((items, ctx) => {
        const seen = new Map<string, number>();
        for (const [index, { api, region: where }] of items.entries()) {
          const first = seen.get(`${api}@${where}`);
          if (first === undefined) seen.set(`${api}@${where}`, index);
          else
            ctx.addIssue({
              code: 'custom',
              path: [index],
              message: `names ${api} in ${where} again, like items[${first}]`,
            });
        }
      }),
  }),
  answers: {
    200: z
      .object({
        environment: environmentId,
        created: z.int(),
        replaced: z.int(),
        removed: z.int(),
        unchanged: z.int().meta({ description: 'Were already as asked.' }),
      })
      .meta({ id: 'PlacementsChanged' }),
  },
  errors: ['unknown_reference', 'body_too_large', 'promotion_open'],
});
