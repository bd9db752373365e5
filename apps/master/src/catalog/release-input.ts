import { definition, fail } from '#model';
import { z } from 'zod';
import type { ZodOpenApiOverrideMetaContext } from 'zod-openapi';
import { type ImportOverrides, importOverrides } from './openapi/import-openapi.js';

/** What a release is to be made of. `at` is where its fields stand in the request, for faults: `definition.`, or nothing. */
export type ReleaseInput =
  | { kind: 'definition'; definition: Record<string, unknown>; at: string }
  | { kind: 'openapi'; document: string | Uint8Array | object; overrides: ImportOverrides; at: string };

const object = (error: string) => z.record(z.string(), z.unknown(), { error });
const ONE_OF = 'must be an object with either definition or openapi';

/** What a release is made of, in JSON. */
export const releaseSource = z.strictObject({
  definition: object('must be the definition, an object').optional(),
  openapi: z.union([z.string(), object('')], 'must be an OpenAPI document: an object, or its text').optional(),
  overrides: importOverrides.optional(),
});
type ReleaseSource = z.infer<typeof releaseSource>;

/** A source has one of the two, and what goes with it. */
export function checkSource(source: ReleaseSource, ctx: z.RefinementCtx): void {
  if (source.definition !== undefined && source.openapi !== undefined)
    ctx.addIssue({ code: 'custom', path: ['definition'], message: 'stands beside openapi; send one of the two' });
  else if (source.openapi === undefined && source.overrides) {
    const message = 'go with openapi; write the fields into the definition';
    ctx.addIssue({ code: 'custom', path: ['overrides'], message });
  }
}

const json = releaseSource.superRefine((body, ctx) => {
  if (body.definition === undefined && body.openapi === undefined) {
    const message = 'is missing; openapi may stand in its place';
    ctx.addIssue({ code: 'custom', path: ['definition'], message });
  } else checkSource(body, ctx);
});

/** A document that is the body although that is application/json: every OpenAPI document has an info object. */
const bareDocument = z.looseObject({ openapi: z.string(), info: object('') });

/** JSON as above, an OpenAPI document in its place, or the bytes of one of another content type. */
export const releaseBody = z
  .union([z.instanceof(Uint8Array).meta({ override: { type: 'string' } }), bareDocument, json], ONE_OF)
  .meta({
    override: ({ jsonSchema }: ZodOpenApiOverrideMetaContext) => {
      // what the schema of application/json is; the bytes have content types of their own
      const asJson = jsonSchema.anyOf?.at(-1);
      delete jsonSchema.anyOf;
      Object.assign(jsonSchema, asJson);
    },
  });

/** Overrides for a document that is itself the body. */
export const documentQuery = z.strictObject({
  upstream: z
    .string()
    .transform((url) => ({ targets: [{ url }] }))
    .pipe(definition.shape.upstream)
    .optional()
    .meta({ description: 'URL of the one upstream target.', example: 'http://weather.internal:8080' }),
  security: definition.shape.security.optional(),
  plans: z
    .string()
    .transform((list) => list.split(','))
    .pipe(definition.shape.plans)
    .optional()
    .meta({ description: 'Ids, apart by commas.', example: 'bronze,gold' }),
  openPlan: definition.shape.openPlan.meta({ description: 'By which open routes are limited.', example: 'bronze' }),
});

type Body = z.infer<typeof releaseBody>;
type Query = z.infer<typeof documentQuery>;

function isBare(body: object): body is z.infer<typeof bareDocument> {
  return 'info' in body;
}

/** @throws HelioError `invalid_request` for overrides in the wrong place */
export function releaseInputOf(body: Body, query: Query): ReleaseInput {
  if (body instanceof Uint8Array) return { kind: 'openapi', document: body, overrides: query, at: '' };
  if (isBare(body)) return { kind: 'openapi', document: body, overrides: query, at: '' };
  const misplaced = Object.keys(query);
  if (misplaced.length > 0) {
    throw fail('invalid_request', `${misplaced[0]}: goes into the body, since that is application/json`, {
      fields: misplaced.map((field) => ({
        field,
        problem: 'is for a body that is itself an OpenAPI document',
        expected: `overrides.${field}`,
      })),
    });
  }
  const input = inputOf(body);
  if (input === null) throw new Error('the schema lets only one of the two be missing');
  return input;
}

/** @returns null where there is neither */
export function inputOf({ definition: given, openapi, overrides = {} }: ReleaseSource): ReleaseInput | null {
  if (given !== undefined) return { kind: 'definition', definition: given, at: 'definition.' };
  return openapi === undefined ? null : { kind: 'openapi', document: openapi, overrides, at: 'overrides.' };
}
