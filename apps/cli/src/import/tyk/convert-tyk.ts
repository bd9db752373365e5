import { documentOf } from '../model/api-draft.js';
import { type Convert, convertFiles } from '../model/converted.js';
import { Plans } from '../model/limits.js';
import { ApiNames } from '../model/names.js';
import { isObject, type Part } from '../source/part.js';
import { apisOfClassic } from './classic.js';
import { apiOfOas } from './oas.js';
import { PolicyPlans } from './policies-file.js';
import { draftOf, type TykApi } from './tyk-api.js';

const EXTENSION = 'x-tyk-api-gateway';

/**
 * Converts API definitions of Tyk, classic and OAS, and policies: which of them a file is, or has in a list, is told by what
 * it says. Keys are in no such file. Never throws.
 */
export const convertTyk: Convert = (sources, environment) =>
  convertFiles(sources, (files) => {
    const plans = new Plans();
    const policies = new PolicyPlans(plans);
    const apis: TykApi[] = [];
    for (const { root } of files) read(root, apis, policies);
    const names = new ApiNames();
    const taken = new Map<string, string>();
    const documents = apis.flatMap((api) => {
      const draft = draftOf(api, names, (id) => policies.of(id));
      if (!draft) return [];
      const other = [...taken.keys()].find(
        (one) => `${one}/`.startsWith(`${draft.context}/`) || `${draft.context}/`.startsWith(`${one}/`),
      );
      if (other !== undefined) {
        api.listenPath.lost(
          `no two APIs may have one path inside of the other's, and ${other} is taken`,
          'give one of them another path',
        );
        return [];
      }
      taken.set(draft.context, draft.name);
      if (draft.plans.length === 0 && draft.routes.some(({ security }) => security !== 'open'))
        api.at.closed(
          'no policy in these files gives access to it, so that nobody can be subscribed',
          'convert it together with the policies, or name `plans`',
        );
      return documentOf(draft, environment) ?? [];
    });
    return { apis: documents, plans: plans.list(), lines: [] };
  });

function read(at: Part, apis: TykApi[], policies: PolicyPlans): void {
  const { value } = at;
  if (Array.isArray(value)) for (const item of at.items()) read(item, apis, policies);
  else if (!isObject(value))
    at.lost('it is no definition and no policy of Tyk', 'give files that were exported from Tyk');
  else if (isObject(value[EXTENSION])) apis.push(...apiOfOas(at, at.at(EXTENSION)));
  else if (isObject(value.proxy)) apis.push(...apisOfClassic(at));
  else if (isObject(value.access_rights)) policies.add(at, undefined);
  else if (typeof value.openapi === 'string')
    at.lost(
      `it is an OpenAPI document without ${EXTENSION}`,
      'name it in a document for `helio apply`: openapi: ./file.yaml',
    );
  else wrapped(at, apis, policies);
}

/** What exports of the dashboard wrap others in, and files of policies by their ids. */
const WRAPPERS = ['api_definition', 'apis', 'Data', 'policies', 'data'];

function wrapped(at: Part, apis: TykApi[], policies: PolicyPlans): void {
  const inside = at.fields().filter(([key]) => WRAPPERS.includes(key));
  const byId = at.fields().filter(([, part]) => isObject(part.value) && isObject(part.value.access_rights));
  if (inside.length + byId.length === 0) {
    at.lost('it is no definition and no policy of Tyk', 'give files that were exported from Tyk');
    return;
  }
  for (const [, part] of inside) read(part, apis, policies);
  for (const [key, part] of byId) policies.add(part, key);
  if (inside.length > 0) at.skip(...Object.keys(at.value as object).filter((key) => !WRAPPERS.includes(key)));
}
