import { z } from 'zod';
import { fail } from '#model';
import { faultsOf } from '#platform';

const MAX_ITEMS = 1000;
const MAX_PATH = 8192;
const MAX_CREDENTIAL = 4096;
const METHOD = /^[A-Z][A-Z-]{0,31}$/;

const credential = z
  .string()
  .min(1, 'must not be empty')
  .max(MAX_CREDENTIAL, `has at most ${MAX_CREDENTIAL} characters`)
  .optional();
const question = {
  method: z.string('must be an HTTP method, like GET').regex(METHOD, 'must be an HTTP method in upper case, like GET'),
  path: z
    .string('must be a path with its query, like /weather/v1/today')
    .regex(/^\//, 'must begin with /')
    .max(MAX_PATH, `has at most ${MAX_PATH} characters`),
  key: credential,
  token: credential,
};
const one = z.strictObject(question, 'must be an object with method and path, or one with items');
const spend = z.boolean('must be true or false').default(false);
const single = one.extend({ spend });
const many = z.strictObject({
  items: z
    .array(one, 'must be a list')
    .min(1, 'must have at least one item')
    .max(MAX_ITEMS, `must have at most ${MAX_ITEMS} items`),
  spend,
});

export type ValidateItem = z.infer<typeof one>;

export interface ValidateBody {
  /** whether the caller sent a list, and gets one */
  list: boolean;
  items: ValidateItem[];
  spend: boolean;
}

/**
 * A body of POST /validate. The schema says what is right and explains what is not; nearly all bodies are right, and are
 * seen to be by a look at their fields, which takes a fortieth of its time.
 *
 * @throws HelioError invalid_request that names each faulty field
 */
export function parseValidate(body: unknown): ValidateBody {
  return seenToBeRight(body) ?? parseBySchema(body);
}

/** @throws as `parseValidate` */
export function parseBySchema(body: unknown): ValidateBody {
  const list = typeof body === 'object' && body !== null && 'items' in body;
  const parsed = list ? many.safeParse(body) : single.safeParse(body);
  if (!parsed.success)
    throw fail('invalid_request', 'the body is not what /validate takes', { fields: faultsOf(parsed.error) });
  const items = 'items' in parsed.data ? parsed.data.items : [parsed.data];
  const both = items.findIndex(({ key, token }) => key !== undefined && token !== undefined);
  if (both >= 0) {
    const field = list ? `items[${both}].token` : 'token';
    throw fail('invalid_request', 'the body is not what /validate takes', {
      fields: [{ field, problem: 'is given beside key', expected: 'one of the two' }],
    });
  }
  return { list, items, spend: parsed.data.spend };
}

/** @returns what `parseBySchema` would, or null where it has to be asked @internal */
export function seenToBeRight(body: unknown): ValidateBody | null {
  if (typeof body !== 'object' || body === null) return null;
  if (!('items' in body)) {
    if (!isItem(body, true)) return null;
    return { list: false, items: [body], spend: (body as { spend?: boolean }).spend ?? false };
  }
  const { items, spend = false, ...others } = body as { items: unknown; spend?: unknown };
  if (!Array.isArray(items) || items.length === 0 || items.length > MAX_ITEMS) return null;
  if (typeof spend !== 'boolean' || Object.keys(others).length > 0) return null;
  return items.every((item) => isItem(item, false)) ? { list: true, items, spend } : null;
}

/** @param alone what stands beside a list otherwise may be in it */
function isItem(value: unknown, alone: boolean): value is ValidateItem {
  if (typeof value !== 'object' || value === null) return false;
  const item = value as Record<string, unknown>;
  for (const name in item) {
    const field = item[name];
    if (name === 'method' || name === 'path') continue;
    if (name === 'key' || name === 'token') {
      if (typeof field !== 'string' || field === '' || field.length > MAX_CREDENTIAL) return false;
    } else if (name !== 'spend' || !alone || typeof field !== 'boolean') return false;
  }
  const { method, path, key, token } = item;
  if (typeof method !== 'string' || !(method === 'GET' || METHOD.test(method))) return false;
  if (typeof path !== 'string' || path.length > MAX_PATH || !path.startsWith('/')) return false;
  return key === undefined || token === undefined;
}
