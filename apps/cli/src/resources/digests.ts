import { answered, type MasterApi } from '../api/master-api.js';
import { CliError } from '../exit.js';
import type { Verb } from './verbs.js';

const WHOLE = /^[0-9a-f]{64}$/;
const BEGINNING = /^[0-9a-f]{6,63}$/;

const OF_RELEASES = new Set(['digest', 'release', 'from', 'to']);

/**
 * Tables show the beginning of a digest, so that is taken, too, where the API is known by the path.
 *
 * @param values by their names; others than digests stay as they are
 */
export async function wholeDigests<T>(
  master: MasterApi,
  { operation }: Verb,
  inPath: readonly string[],
  values: Readonly<Record<string, T>>,
): Promise<Record<string, T | string>> {
  const api = inPath[operation.path.findIndex(({ name }) => name === 'api')] ?? '';
  const whole: Record<string, T | string> = { ...values };
  for (const [name, value] of api === '' ? [] : Object.entries(values))
    if (OF_RELEASES.has(name) && typeof value === 'string' && BEGINNING.test(value))
      whole[name] = await wholeDigest(master, api, value);
  return whole;
}

/** The digest that begins so, of the releases of an API. @throws CliError where none does, or several */
export async function wholeDigest(master: MasterApi, api: string, beginning: string): Promise<string> {
  const next = `\`helio release list ${api} -o wide\` shows them.`;
  if (WHOLE.test(beginning)) return beginning;
  if (!BEGINNING.test(beginning))
    throw new CliError(`"${beginning}" is no digest, nor 6 or more digits of one`, {
      exit: 'usage',
      next,
    });
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const params = { path: { api }, query: { limit: 200, cursor } };
    const page = answered(await master.http.GET('/v1/apis/{api}/releases', { params }));
    found.push(...page.items.map(({ digest }) => digest).filter((digest) => digest.startsWith(beginning)));
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  const [digest, ...others] = found;
  if (digest === undefined)
    throw new CliError(`no release of ${api} begins with ${beginning}`, { exit: 'notFound', next });
  if (others.length > 0)
    throw new CliError(`${found.length} releases of ${api} begin with ${beginning}`, { exit: 'usage', lines: found });
  return digest;
}
