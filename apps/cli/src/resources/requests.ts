import type { MasterApi, RawAnswer } from '../api/master-api.js';
import type { Cli } from '../cli.js';
import { CliError } from '../exit.js';
import { visible } from '../output/style.js';
import type { Item } from './columns.js';

/** `/v1/plans/{plan}` with its values in it. */
export function pathWith(path: string, values: readonly string[]): string {
  let at = 0;
  return path.replace(/\{\w+\}/g, () => encodeURIComponent(values[at++] ?? ''));
}

interface ListRequest {
  path: string;
  query: Record<string, string | readonly string[] | undefined>;
  /** items at the most; null: all, as they come in one answer; `all`: however many pages it takes */
  most: number | 'all' | null;
}

const PAGE = 200;

/** Items of a list, page by page where it has pages. */
export async function readList(
  api: MasterApi,
  { path, query, most }: ListRequest,
): Promise<{ items: Item[]; more: boolean }> {
  if (most === null) {
    const { body } = await api.send({ method: 'GET', path, query });
    return { items: (body as { items: Item[] }).items, more: false };
  }
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const limit = String(Math.min(PAGE, most === 'all' ? PAGE : most - items.length));
    const { body } = await api.send({ method: 'GET', path, query: { ...query, limit, cursor } });
    const page = body as { items: Item[]; next?: string | null };
    items.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && (most === 'all' || items.length < most));
  return { items, more: cursor !== undefined };
}

/** What came of a write beside its body: where it stands on the chains, and who has not got it yet. */
export function tellWrite(cli: Cli, { status, headers }: RawAnswer): void {
  const revision = headers.get('heliograph-revision');
  if (revision) cli.note(`revision ${visible(revision)}`);
  if (status !== 202 || headers.get('preference-applied') === null) return;
  const [count, names] = [headers.get('heliograph-missing-count'), headers.get('heliograph-missing')];
  cli.note(`written, and not applied yet by ${visible(count ?? 'some')} replicas: ${visible(names ?? '')}`);
}

/** Options of writes that may wait for the regions. */
export interface Waiting {
  wait?: string;
  applied?: string;
}

/** @throws CliError for a time that cannot be waited */
export function preferOf({ wait, applied }: Waiting): {
  headers: Record<string, string>;
  query: Record<string, string>;
} {
  if (wait === undefined) {
    if (applied !== undefined) throw new CliError('--applied goes with --wait', { exit: 'usage' });
    return { headers: {}, query: {} };
  }
  if (!/^([1-9]|[1-5]\d|60)$/.test(wait))
    throw new CliError(`--wait: "${wait}" is no number of seconds from 1 to 60`, { exit: 'usage' });
  return { headers: { prefer: `wait=${wait}` }, query: applied === undefined ? {} : { applied } };
}
