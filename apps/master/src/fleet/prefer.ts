import { fail } from '#model';
import type { MasterRequest } from '../http/request.js';
import type { Applied } from './applied.js';

/** `Prefer: wait=5` with `?applied=`: the answer may wait until replicas have the write. */
export interface WaitPreference {
  seconds: number;
  applied: Applied;
}

const MOST_SECONDS = 60;

/** Null: none was expressed. Other preferences are left alone (RFC 7240). @throws HelioError `invalid_request` */
export function waitPreferenceOf(request: Pick<MasterRequest, 'headers' | 'query'>): WaitPreference | null {
  const header = request.headers['prefer'];
  const preferences = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(/[,;]/);
  const wait = preferences.map((one) => /^\s*wait\s*(?:=\s*(.*?))?\s*$/i.exec(one)).find((match) => match !== null);
  const applied = (request.query as Record<string, unknown> | undefined)?.applied;
  if (!wait) {
    if (applied === undefined) return null;
    throw invalid('applied', 'is of no use without a time to wait', 'Prefer: wait=5 beside it');
  }
  const seconds = /^"?(\d{1,3})"?$/.exec(wait[1] ?? '')?.[1];
  if (seconds === undefined || Number(seconds) < 1 || Number(seconds) > MOST_SECONDS) {
    const given = (wait[1] ?? '').slice(0, 50);
    throw invalid('Prefer', `wait="${given}" is no whole number of seconds from 1 to ${MOST_SECONDS}`, 'wait=5');
  }
  return { seconds: Number(seconds), applied: appliedOf(applied ?? 'all') };
}

function appliedOf(text: unknown): Applied {
  if (text === 'all' || text === 'quorum') return { by: text };
  const region = typeof text === 'string' ? /^region:([a-z][a-z0-9-]{0,31})$/.exec(text)?.[1] : undefined;
  if (region !== undefined) return { by: 'region', region };
  const given = (typeof text === 'string' ? text : 'more than one').slice(0, 50);
  throw invalid('applied', `"${given}" is none of them`, 'all, quorum or region:<id>');
}

function invalid(field: string, problem: string, expected: string): Error {
  return fail('invalid_request', `${field}: ${problem}`, { fields: [{ field, problem, expected }] });
}
