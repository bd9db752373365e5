import type { Target } from '../contexts/choose-target.js';
import { CliError } from '../exit.js';
import { bodyBytes } from './body-bytes.js';
import { unreachable } from './fetching.js';
import type { Operation } from './operation.js';
import { OPERATIONS } from './operations.js';

interface Asked {
  method: string;
  url: string;
  signal: AbortSignal;
}

/** What something answered that is no master: a portal, a proxy, another program behind the address. */
export function noMaster(
  { server, from }: Target,
  status: number,
  more: { exit?: CliError['exit']; passing?: boolean; lines?: readonly string[] } = {},
): CliError {
  return new CliError(`${server} answered ${status}, and not as a master does`, {
    exit: 'unreachable',
    ...more,
    next: `Check that ${server} (${from}) is the address of a master, and what is in between.`,
  });
}

/**
 * A good answer of which all is there and of the kind that the operation gives, with its body to be read again.
 *
 * @throws CliError `unreachable` for a page of something else, half of an answer, and one that breaks off
 */
export async function wholeAnswer(asked: Asked, response: Response, target: Target): Promise<Response> {
  let text: string;
  try {
    // `response.text()` would wait for ever where the other end falls silent
    const parts: Uint8Array[] = [];
    for await (const part of bodyBytes(response, asked.signal)) parts.push(part);
    text = Buffer.concat(parts).toString();
  } catch (error) {
    if (asked.signal.aborted) throw error;
    throw unreachable(asked, error, false);
  }
  const operation = operationOf(asked, target);
  const good = operation?.empty ? text === '' && response.status !== 200 : isJson(response) && fits(text, operation);
  if (!good) throw strange(asked, response, target);
  const { status, headers } = response;
  return new Response(text === '' ? null : text, { status, headers });
}

/**
 * A good answer whose body is read as it comes; where the operation answers with one JSON document, that is read whole.
 *
 * @throws CliError as above
 */
export async function streamedAnswer(asked: Asked, response: Response, target: Target): Promise<Response> {
  const type = typeOf(response);
  const { produces } = operationOf(asked, target) ?? {};
  // lists may be asked for as CSV or as lines
  const isRows = produces === undefined && (type === 'text/csv' || type === 'application/x-ndjson');
  if (isRows || type === produces) return response;
  if (produces === undefined) return wholeAnswer(asked, response, target);
  throw strange(asked, response, target);
}

function strange({ method, url }: Asked, { status }: Response, target: Target): CliError {
  const lines = method === 'GET' ? [] : [`whether ${method} ${new URL(url).pathname} was carried out is not known`];
  return noMaster(target, status, { lines });
}

function typeOf(response: Response): string {
  return (response.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

function isJson(response: Response): boolean {
  return /^application\/([\w.-]+\+)?json$/.test(typeOf(response));
}

/** Not all fields are asked for: a master of another version may have fewer of them. */
function fits(text: string, operation: Operation | undefined): boolean {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return false;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  if (operation?.list) return Array.isArray((value as { items?: unknown }).items);
  const { answers = [] } = operation ?? {};
  return answers.length === 0 || answers.some((name) => Object.hasOwn(value, name));
}

const PATTERNS = Object.entries(OPERATIONS)
  .map(([key, operation]) => ({ key, operation, pattern: new RegExp(`^${key.replace(/\{\w+\}/g, '[^/]+')}$`) }))
  // what is named goes before what is any name
  .sort((a, b) => a.key.split('{').length - b.key.split('{').length);

function operationOf({ method, url }: Asked, { server }: Target): Operation | undefined {
  const base = new URL(server).pathname.replace(/\/+$/, '');
  const key = `${method} ${new URL(url).pathname.slice(base.length)}`;
  return PATTERNS.find(({ pattern }) => pattern.test(key))?.operation;
}
