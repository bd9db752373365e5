import { METHODS } from '#model';
import { Tally } from './import-report.js';
import { isObject, type JsonObject, members, own, type Place } from './place.js';

const NOT_USED = {
  'fields that the request gives itself': 'What the request says comes first.',
  'further servers':
    'Servers of a document are alternatives, not a pool; targets of the upstream can be given with the import.',
  'servers of paths and operations':
    'All routes of an API go to one upstream; give these operations an API of their own, or the upstream another target.',
  'security requirements':
    'Routes ask for a credential of this platform, or for none; what the upstream asks for is passed on.',
  'security schemes':
    'Callers send a key or token of this platform, in X-API-Key or where `credential` says, or as Bearer.',
  'OAuth flows': 'The gateway does not obtain tokens for callers.',
  'security scopes': 'Scopes are checked where `scopes` says so, or `honourTokens` takes them over.',
  'unused path items': 'No path refers to them.',
  webhooks: 'They are requests that the upstream makes, which do not pass the gateway.',
  callbacks: 'They are requests that the upstream makes, which do not pass the gateway.',
  parameters: 'Path, query, header and cookie values are passed on unchecked.',
  'request bodies': 'Bodies are passed on unchecked.',
  responses: 'Answers are passed on as they are.',
  headers: 'Headers are passed on unchecked.',
  schemas: 'Nothing is checked against schemas.',
  encodings: 'Bodies are passed on as they are.',
  examples: 'They are for people; a mock answer is a policy of a route.',
  links: 'They are for clients that are made from the document.',
  tags: 'Routes have no groups.',
  'deprecation marks': 'A deprecated operation is served as any other.',
  'texts and contacts': 'They are for people who read the document.',
  extensions: 'Fields that begin with x- mean nothing to the gateway.',
  'remote references': 'Nothing is fetched from elsewhere.',
  'other fields': 'OpenAPI 3.0 and 3.1 do not define them here.',
} as const;
type NotUsedKind = keyof typeof NOT_USED;

export class NotUsed extends Tally<NotUsedKind> {
  constructor() {
    super(NOT_USED);
  }
}

interface Rule {
  kind?: NotUsedKind;
  /** whether each entry of a list or map counts, instead of the whole */
  each?: boolean;
  /** whether a key that begins with x- is an extension, not an entry as it would be among headers */
  extensible?: boolean;
  shape?: Shape;
}

/** Fields of an object of OpenAPI that say something about what is not used; `others` is for all further fields. */
interface Shape {
  fields?: Readonly<Record<string, Rule | undefined>>;
  others?: Rule;
}

const one = (kind: NotUsedKind, shape?: Shape): Rule => ({ kind, shape });
const each = (kind: NotUsedKind, shape?: Shape): Rule => ({ kind, each: true, shape });
const inside = (shape: Shape): Rule => ({ shape });
const eachInside = (shape: Shape): Rule => ({ each: true, shape });
const USED: Rule = {};

const text = one('texts and contacts');
const examples = { example: one('examples'), examples: each('examples') };
const media: Shape = { fields: { schema: one('schemas'), encoding: each('encodings'), ...examples } };
const content = eachInside(media);
const header: Shape = {
  fields: { description: text, deprecated: one('deprecation marks'), schema: one('schemas'), content, ...examples },
};
const parameter = header;
const requestBody: Shape = { fields: { description: text, content } };
const response: Shape = {
  fields: { summary: text, description: text, headers: each('headers', header), content, links: each('links') },
};
const requirements = each('security requirements', { others: each('security scopes') });

const operation: Shape = {
  fields: {
    operationId: USED,
    tags: each('tags'),
    summary: text,
    description: text,
    externalDocs: text,
    parameters: each('parameters', parameter),
    requestBody: one('request bodies', requestBody),
    responses: { ...each('responses', response), extensible: true },
    callbacks: each('callbacks'),
    deprecated: one('deprecation marks'),
    security: requirements,
    servers: each('servers of paths and operations'),
  },
  others: one('other fields'),
};
const pathItem: Shape = {
  fields: {
    ...Object.fromEntries(METHODS.map((method) => [method.toLowerCase(), inside(operation)])),
    $ref: USED,
    summary: text,
    description: text,
    servers: each('servers of paths and operations'),
    parameters: each('parameters', parameter),
  },
  others: one('other fields'),
};
const flows = each('OAuth flows', { fields: { scopes: each('security scopes') } });
const components: Shape = {
  fields: {
    schemas: each('schemas'),
    responses: each('responses', response),
    parameters: each('parameters', parameter),
    examples: each('examples'),
    requestBodies: each('request bodies', requestBody),
    headers: each('headers', header),
    securitySchemes: each('security schemes', { fields: { description: text, flows } }),
    links: each('links'),
    callbacks: each('callbacks'),
    pathItems: eachInside(pathItem),
  },
  others: one('other fields'),
};
const root: Shape = {
  fields: {
    openapi: USED,
    info: inside({ fields: { title: USED, version: USED }, others: text }),
    jsonSchemaDialect: one('schemas'),
    servers: eachInside({ fields: { description: text } }),
    paths: { ...eachInside(pathItem), extensible: true },
    webhooks: each('webhooks'),
    components: inside(components),
    security: requirements,
    tags: each('tags'),
    externalDocs: text,
  },
  others: one('other fields'),
};

/**
 * Counts what of a document has no effect, by the place where it is written: what is referred to twice counts once.
 * Schemas, examples, callbacks and webhooks count as one each, whatever they hold, so the walk is as deep as the table
 * above and no deeper.
 *
 * @param referred path items of `components` that some path refers to, and other values
 * @param used requirements that routes were made of
 */
export function countNotUsed(
  document: JsonObject,
  referred: ReadonlySet<unknown>,
  used: ReadonlySet<unknown>,
  notUsed: NotUsed,
): void {
  // YAML's aliases make one value stand in several places; counted at each, a few lines could stand for billions
  const seen = new Set<object>();

  const walk = (object: JsonObject, shape: Shape, place: Place): void => {
    if (seen.has(object)) return;
    seen.add(object);
    if (typeof object.$ref === 'string' && !object.$ref.startsWith('#')) notUsed.add('remote references', place);
    for (const [field, value] of Object.entries(object)) {
      const at = [...place, field];
      if (field.startsWith('x-')) notUsed.add('extensions', at);
      else apply(shape.fields && Object.hasOwn(shape.fields, field) ? shape.fields[field] : shape.others, value, at);
    }
  };

  const apply = (rule: Rule | undefined, value: unknown, place: Place): void => {
    if (rule === undefined || value === null || value === undefined) return;
    if (!rule.each || typeof value !== 'object') return count(rule, value, place);
    if (seen.has(value)) return;
    seen.add(value);
    const list = Array.isArray(value);
    for (const [key, entry] of Object.entries(value)) {
      if (rule.extensible && key.startsWith('x-')) notUsed.add('extensions', [...place, key]);
      else count(rule, entry, [...place, list ? Number(key) : key]);
    }
  };

  const count = (rule: Rule, value: unknown, place: Place): void => {
    if (rule === requirements && used.has(value)) return;
    // {} asks for nothing
    if (rule.kind && !(rule === requirements && isObject(value) && Object.keys(value).length === 0))
      notUsed.add(rule.kind, place);
    if (rule.shape && isObject(value)) walk(value, rule.shape, place);
  };

  walk(document, root, []);
  for (const [name, item] of members(own(own(document, 'components'), 'pathItems'))) {
    if (!referred.has(item)) notUsed.add('unused path items', ['components', 'pathItems', name]);
  }
}
