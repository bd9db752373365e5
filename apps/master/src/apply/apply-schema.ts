import { definition } from '#model';
import { z } from 'zod';
import { applyDocument } from './documents.js';

type Node = Record<string, unknown>;

/**
 * The JSON Schema of a document as it stands in a file: what `POST /v1/apply` takes, where `definition` and `openapi` may be the
 * path of a file, and any text may be a reference to what is not to stand in the file.
 */
export function applySchema(): string {
  const options = { io: 'input', unrepresentable: 'any', target: 'draft-7' } as const;
  const { $schema, ...documents } = z.toJSONSchema(applyDocument, options) as Node;
  const release = z.toJSONSchema(definition, options) as Node;
  delete release.$schema;
  // an API's document says these itself
  release.required = (release.required as string[]).filter((field) => !['name', 'version', 'context'].includes(field));
  const having = (field: string): Node => {
    const found = (documents.anyOf as { properties: Node }[]).find(({ properties }) => field in properties);
    if (!found) throw new Error(`no document has ${field}`);
    return found.properties;
  };
  const api = having('openapi');
  api.definition = { anyOf: [FILE, { $ref: '#/definitions/release' }] };
  api.openapi = { anyOf: [FILE, { type: 'object' }] };
  having('secret').secret = { $ref: '#/definitions/reference' }; // helio takes no other
  const schema = {
    $schema,
    title: 'Heliograph documents',
    description: 'What helio apply reads from files.',
    ...(withReferences(documents) as Node),
    definitions: { release: withReferences(release), reference: REFERENCE },
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

const FILE = {
  type: 'string',
  description: 'The path of a file, from where this one is: ./weather.yaml',
};

const REFERENCE = {
  description: 'What is not to stand in the file: the value of an environment variable, or the text of a file.',
  oneOf: ['env', 'file'].map((name) => ({
    type: 'object',
    properties: { [name]: { type: 'string', minLength: 1 } },
    required: [name],
    additionalProperties: false,
  })),
};

/** Any text may be a reference, but for words of which there are a few, and names of members. */
function withReferences(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withReferences);
  if (typeof node !== 'object' || node === null || node === FILE) return node;
  const schema = node as Node;
  if (schema.type === 'string' && schema.enum === undefined && schema.const === undefined)
    return { anyOf: [schema, { $ref: '#/definitions/reference' }] };
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, key === 'propertyNames' ? value : withReferences(value)]),
  );
}
