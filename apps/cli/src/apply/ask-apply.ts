import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '#platform';
import { visible } from '../output/style.js';
import { unreachable } from '../api/fetching.js';
import type { paths } from '../api/schema.js';
import type { Cli } from '../cli.js';
import { CliError } from '../exit.js';
import type { DocumentOptions } from './options.js';
import { type DocumentSet, readSet } from './read-set.js';

type Operation = paths['/v1/apply']['post'];
export type ApplyPlan = Operation['responses'][200]['content']['application/json'];
type Body = NonNullable<Operation['requestBody']>['content']['application/json'];
export type ApplyAsked = Omit<Body, 'documents'>;

/** A shorter one would be found all over. */
const SHORTEST_SECRET = 4;
const SECRET = '(secret)';
/** As long as another master, or the same one, takes to be there. */
const ATTEMPTS = 6;
const BASE_MS = 500;
const MOST_MS = 8_000;
const AGAIN = 'Apply again when it answers: what is done is not done twice.';

interface Applied {
  plan: ApplyPlan;
  /** `prod@184`; empty where nothing changed */
  revisions: string;
}

/** @throws CliError where nothing is named, and for each fault of files that cannot be read */
export function readFiles(cli: Cli, { file: files, prune = false }: DocumentOptions): Promise<DocumentSet> {
  if (!files?.length)
    throw new CliError('say which documents: -f FILE, -f DIRECTORY, or -f - for standard input', { exit: 'usage' });
  return readSet(files, () => buffer(cli.streams.stdin), { env: cli.env.all, prune });
}

/**
 * Without a deadline: thousands of APIs take a while. Where the answer is lost it is asked again under the same Idempotency-Key: what
 * was carried out before is answered, and not done twice. Documents that are not complete are only asked about: the master finds
 * what else is wrong with them.
 *
 * @throws CliError that names files and lines
 */
export async function askApply(cli: Cli, set: DocumentSet, asked: ApplyAsked): Promise<Applied> {
  if (set.faults.length === 0) return ask(cli, set, asked);
  let others: readonly string[] = [];
  try {
    await ask(cli, set, { ...asked, dryRun: true, expect: undefined });
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    if (error.exit === 'usage') others = error.lines; // else there is no master to ask: what is known is told
  }
  throw incomplete(set.faults, others);
}

function incomplete(faults: DocumentSet['faults'], others: readonly string[]): CliError {
  const places = new Set(faults.map(({ place }) => place));
  // the master found nothing there, or null, and says so
  const more = others.filter((line) => !places.has(/^(.*?:\d+:\d+): /.exec(line)?.[1] ?? ''));
  return new CliError('The documents are not complete:', {
    exit: 'usage',
    lines: [...faults.map(({ place, problem }) => visible(`${place}: ${problem}`)), ...more],
    next: 'Mend these lines, and set what they refer to; nothing was changed.',
  });
}

async function ask(cli: Cli, set: DocumentSet, asked: ApplyAsked): Promise<Applied> {
  const api = await cli.api();
  const body = JSON.stringify({ ...asked, documents: set.documents });
  const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
  const changesNothing = asked.dryRun;
  let lost: readonly string[] | undefined;
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await api.stream('/v1/apply', { method: 'POST', headers, body, changesNothing });
      const plan = hidden(planIn(await textOf(response, changesNothing), api.server), hider(set));
      return { plan, revisions: response.headers.get('heliograph-revision') ?? '' };
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      // a master that was never there is no matter of patience; one that went away with an answer is
      if (!error.passing && !(lost && error.exit === 'unreachable')) throw inFiles(error, set);
      if (error.passing) lost ??= error.lines;
      if (attempt === ATTEMPTS - 1)
        throw changesNothing
          ? error
          : new CliError(error.message, { exit: error.exit, lines: lost, next: AGAIN, cause: error });
      await sleep(backoffMs(attempt, BASE_MS, MOST_MS, Math.random));
    }
  }
}

async function textOf(response: Response, changesNothing?: boolean): Promise<string> {
  try {
    return await response.text();
  } catch (error) {
    throw unreachable({ method: changesNothing ? 'GET' : 'POST', url: response.url }, error, false);
  }
}

/** @throws CliError for what no master answers: something else may listen there */
function planIn(text: string, server: string): ApplyPlan {
  try {
    const plan = JSON.parse(text) as Partial<ApplyPlan> | null;
    if (Array.isArray(plan?.changes) && Array.isArray(plan.refused) && plan.summary) return plan as ApplyPlan;
  } catch {
    // said below
  }
  throw new CliError(`${server} did not answer with a plan, as a master does`, {
    exit: 'unreachable',
    next: `Check that ${server} is the address of a master (\`helio context list\`), and what is in between.`,
  });
}

/** What the dry run was told that an apply is refused for, with files and lines. @param only those with such a code */
export function refusalOf({ refused }: ApplyPlan, set: DocumentSet, only?: 'documents_invalid'): CliError | null {
  const found = refused.filter(({ code }) => only === undefined || code === only);
  if (found.length === 0) return null;
  const lines = found.map(({ field, problem, expected }) =>
    [`${field}: ${problem}`, expected].filter(Boolean).join('; '),
  );
  const exit = found.some(({ code }) => code === 'forbidden') ? 'refused' : 'usage';
  const next = 'What is expected stands at the end of each line.';
  return inFiles(new CliError('An apply of that is refused:', { exit, lines, next }), set);
}

/** Nothing shows what references stand for, in whichever format. */
function hider({ secrets }: DocumentSet): (text: string) => string {
  const long = [...secrets].filter((secret) => secret.length >= SHORTEST_SECRET);
  return (text) => long.reduce((shown, secret) => shown.replaceAll(secret, SECRET), text);
}

/**
 * In texts that come of documents alone: what a secret is may be a word of the plan, too. A text that is replaced by a secret may
 * have been the secret before.
 */
function hidden(plan: ApplyPlan, hide: (text: string) => string): ApplyPlan {
  const deep = (value: unknown): unknown =>
    value === undefined
      ? undefined
      : JSON.parse(JSON.stringify(value), (_, one: unknown) => (typeof one === 'string' ? hide(one) : one));
  const changes = plan.changes.map((change) => ({
    ...change,
    id: hide(change.id),
    fields: change.fields.map((field) => {
      const [before, after] = [deep(field.before), deep(field.after)];
      const replaced = typeof after === 'string' && after !== field.after && before !== undefined;
      return {
        ...field,
        ...(before !== undefined && { before: replaced ? SECRET : before }),
        ...(after !== undefined && { after }),
      };
    }),
  }));
  return { ...plan, changes };
}

/** Says in which file and line is what the master names by a pointer into the request. */
function inFiles(error: CliError, set: DocumentSet): CliError {
  const hide = hider(set);
  const lines = error.lines.map((line) => {
    const end = line.indexOf(': ');
    const [pointer, problem] = [line.slice(0, end), line.slice(end + 2)];
    const place = set.placeOf(pointer);
    if (place === undefined) return hide(line);
    const at = Number(/(?:^|\()line (\d+)/.exec(problem)?.[1] ?? 0);
    const source = pointer.endsWith('/openapi') && at > 0 ? set.lineOf(pointer, at) : undefined;
    const told = problem.replace(/\bas (\/documents\/\d+) is\b/, (all, other: string) => {
      const there = set.placeOf(other);
      return there === undefined ? all : `as ${there} is`;
    });
    return visible(`${source ?? place}: ${pointer.replace(/^\/documents\/\d+/, '') || '/'} ${hide(told)}`);
  });
  return new CliError(error.message, { exit: error.exit, lines, next: error.next, cause: error });
}
