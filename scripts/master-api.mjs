// What the command line knows of the master, made from the descriptions of its endpoints: no master has to run.
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import 'reflect-metadata';
import openapiTS, { astToString } from 'openapi-typescript';

/** by tag and path: what replicas and OAuth's clients send */
const NOT_FOR_PEOPLE = /^(OAuth|replicas \/v1\/(chain\/|replicas\/(join|status|usage)$))/;
const HEAD = '// Made by `npm run build` from the endpoints of the master. Not to be edited.\n';

/**
 * @param {string} compiled a tree in which `#model` and its like can be resolved
 * @returns {Promise<Record<string, string>>} sources of the command line, by their names
 */
export async function makeMasterApi(compiled) {
  const inside = (file) => import(pathToFileURL(resolve(join(compiled, 'apps/master/src', file))).href);
  const [{ openApiDocument }, { ENDPOINT }, { MasterModule }] = await Promise.all([
    inside('docs/openapi-document.js'),
    inside('http/endpoint.js'),
    inside('master.module.js'),
  ]);
  const config = { HELIO_LOG_LEVEL: 'silent', DATABASE_URL: 'postgres://nowhere', HELIO_DATABASE_POOL: 1 };
  const endpoints = endpointsOf(MasterModule.with(config), ENDPOINT);
  // as JSON: what is undefined in it is not there
  const document = JSON.parse(JSON.stringify(openApiDocument(endpoints, '0')));
  return {
    'apps/cli/src/api/operations.ts': operationsSource(document),
    'apps/cli/src/api/schema.ts': await typesSource(document),
  };
}

/** Types of requests and good answers, as openapi-fetch takes them; what no person sends is left out. */
async function typesSource(document) {
  const paths = Object.fromEntries(
    Object.entries(document.paths).map(([path, methods]) => [
      path,
      Object.fromEntries(
        Object.entries(methods)
          .filter(([, { tags }]) => !NOT_FOR_PEOPLE.test(`${tags} ${path}`))
          .map(([method, one]) => [method, { ...one, responses: good(one.responses), description: undefined }]),
      ),
    ]),
  );
  return HEAD + astToString(await openapiTS(JSON.parse(JSON.stringify({ ...document, paths }))));
}

function good(responses) {
  return Object.fromEntries(
    Object.entries(responses)
      .filter(([status]) => status.startsWith('2'))
      .map(([status, { headers: _, ...one }]) => [status, one]),
  );
}

/** The operations as data, for commands that are made from a table: apps/cli/src/api/operation.ts says what is in it. */
function operationsSource(document) {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { tags }]) => !NOT_FOR_PEOPLE.test(`${tags} ${path}`))
      .map(([method, one]) => [`${method.toUpperCase()} ${path}`, operationOf(one, document)]),
  );
  const lines = operations.map(([key, one]) => `  ${JSON.stringify(key)}: ${JSON.stringify(one)},\n`);
  return `${HEAD}import type { Operation } from './operation.js';\n\nexport const OPERATIONS: Readonly<Record<string, Operation>> = {\n${lines.join('')}};\n`;
}

function endpointsOf(module, ENDPOINT, seen = new Set()) {
  const type = module.module ?? module;
  if (seen.has(module)) return [];
  seen.add(module);
  const listed = (what) => [...(Reflect.getMetadata(what, type) ?? []), ...(module[what] ?? [])];
  const own = listed('controllers').flatMap(({ prototype }) =>
    Object.getOwnPropertyNames(prototype).flatMap((name) => Reflect.getMetadata(ENDPOINT, prototype[name]) ?? []),
  );
  return [...own, ...listed('imports').flatMap((one) => endpointsOf(one.forwardRef?.() ?? one, ENDPOINT, seen))];
}

function operationOf({ summary, description, parameters = [], requestBody, responses, security }, document) {
  const of = (place) => parameters.filter((one) => one.in === place);
  const header = (name) => of('header').some((one) => one.name === name);
  const content = requestBody?.content ?? {};
  const [answer] = Object.entries(responses).flatMap(([status, one]) => (status.startsWith('2') ? one : []));
  const { 'application/json': json, ...others } = answer?.content ?? {};
  const answered = resolved(json?.schema ?? {}, document);
  return {
    summary,
    description: description || undefined,
    open: security?.length === 0 || undefined,
    path: of('path').map((one) => valueOf(one.name, one, document)),
    query: of('query').map((one) => valueOf(one.name, one, document)),
    body: content['application/json'] && fieldsOf(content['application/json'].schema, document),
    types: Object.keys(content).filter((type) => type !== 'application/json'),
    bodyRequired: requestBody?.required || undefined,
    ifMatch: (header('If-Match') && ('428' in responses ? 'required' : 'possible')) || undefined,
    wait: header('Prefer') || undefined,
    list: answered.properties?.items ? true : undefined,
    answers: answered.required,
    produces: json ? undefined : Object.keys(others)[0],
    empty: '204' in responses && !answer?.content ? true : undefined,
  };
}

function fieldsOf(given, document) {
  const schema = resolved(given, document);
  const required = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).map(([name, one]) => ({
    ...valueOf(name, { schema: one }, document),
    required: required.includes(name) || undefined,
  }));
}

function valueOf(name, { schema: given, required, description }, document) {
  const schema = resolved(given, document);
  const { default: byDefault } = given;
  return {
    name,
    kind: kindOf(schema, document),
    choices: schema.enum ?? resolved(schema.items ?? {}, document).enum,
    fields: schema.type === 'object' && schema.properties ? Object.keys(schema.properties) : undefined,
    about: description ?? given.description ?? schema.description,
    required: required || undefined,
    nullable: isNullable(given) || undefined,
    default: byDefault === null || typeof byDefault === 'object' ? undefined : byDefault,
  };
}

function isNullable({ type, anyOf = [] }) {
  return [type].flat().includes('null') || anyOf.some((one) => one.type === 'null');
}

function kindOf(schema, document) {
  const { type, items, anyOf, oneOf } = schema;
  const all = (anyOf ?? oneOf ?? []).map((one) => kindOf(resolved(one, document), document));
  if (all.length > 0) return all.every((one) => one === all[0]) ? all[0] : 'any';
  if (type === 'integer' || type === 'number') return 'number';
  if (type === 'string' || type === 'boolean') return type === 'string' ? 'text' : 'boolean';
  if (type === 'array') return kindOf(resolved(items ?? {}, document), document) === 'text' ? 'texts' : 'any';
  return 'any';
}

/** Follows a reference, and takes `or null` away. */
function resolved(schema, document) {
  if (schema.$ref) {
    const name = schema.$ref.split('/').at(-1);
    return resolved(document.components.schemas[name], document);
  }
  if (Array.isArray(schema.type)) return { ...schema, type: schema.type.find((one) => one !== 'null') };
  const others = schema.anyOf?.filter((one) => one.type !== 'null');
  if (others?.length === 1)
    return { ...resolved(others[0], document), description: schema.description ?? others[0].description };
  return schema;
}
