import { ERRORS } from '#model';
import type { ProblemDocument } from '#platform';
import { CliError, type Exit } from '../exit.js';
import { visible } from '../output/style.js';
import type { Target } from '../contexts/choose-target.js';
import { noMaster } from './answer.js';
import { PASSING } from './fetching.js';

const BY_STATUS: Record<number, Exit> = {
  400: 'usage',
  401: 'refused',
  403: 'refused',
  404: 'notFound',
  409: 'conflict',
  412: 'conflict',
  413: 'usage',
  415: 'usage',
  422: 'usage',
  428: 'conflict',
  502: 'unreachable',
  503: 'unreachable',
  504: 'unreachable',
};

/** Traffic of APIs comes there. */
const OF_GATEWAYS = 'no_such_api' satisfies keyof typeof ERRORS;

/** What to say about an answer that is no 2xx. */
export async function failureOf(response: Response, target: Target): Promise<CliError> {
  const exit = BY_STATUS[response.status] ?? 'failed';
  const passing = PASSING.has(response.status);
  const problem = problemIn(await response.text());
  if (!problem || problem.code === OF_GATEWAYS)
    return noMaster(target, response.status, { exit: exit === 'notFound' ? 'unreachable' : exit, passing });
  const { title, code, detail, errors = [], requestId } = problem;
  const fields = errors.map(({ field, problem: what, expected }) =>
    visible([`${field}: ${what}`, expected].filter(Boolean).join('; ')),
  );
  return new CliError(visible(`${title} (${code})`), {
    exit,
    passing,
    lines: [
      // with faulty fields the detail is the first of them once more
      ...(detail.startsWith(`${errors[0]?.field}: `) ? [] : [visible(detail)]),
      ...fields,
      ...(response.status >= 500 && requestId ? [`request id: ${visible(requestId)}`] : []),
    ],
    next: nextOf(code, target),
  });
}

function nextOf(code: string, { server, token, from, tokenFrom = from }: Target): string {
  if (code === 'unauthenticated')
    return token === undefined
      ? `\`helio login ${server}\` keeps a token, or set HELIO_TOKEN.`
      : `\`helio login ${server}\` keeps another token; this one is of ${tokenFrom}.`;
  const known: { action: string } | undefined = Object.hasOwn(ERRORS, code)
    ? ERRORS[code as keyof typeof ERRORS]
    : undefined;
  return known?.action ?? `See ${server}/docs/errors#${encodeURIComponent(code)}.`;
}

function problemIn(text: string): ProblemDocument | undefined {
  let value: Partial<ProblemDocument> | null;
  try {
    value = JSON.parse(text) as Partial<ProblemDocument> | null;
  } catch {
    return undefined; // a page of something in between
  }
  const { title, code, detail } = value ?? {};
  return [title, code, detail].every((one) => typeof one === 'string') ? (value as ProblemDocument) : undefined;
}
