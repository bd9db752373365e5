/** A request as the upstream has to get it. */
export interface Passed {
  method: string;
  /** below the API's context */
  path: string;
  body?: string;
  /** what it has to get of these fields; null: nothing. Names in lower case */
  fields?: Record<string, string | null>;
}

/** Bytes that a client sends, and all that may come of them. */
export interface Case {
  name: string;
  /** one character per byte */
  bytes: string;
  /** statuses of the answers, in order */
  answers: number[];
  /** what the upstream gets, whole and in order, and nothing else */
  passed: Passed[];
  /** what follows: `nothing`: the connection is closed; `probe`: the next request is served; `body`: it is a part of the last body */
  next: 'nothing' | 'probe' | 'body';
  /** the fault shows while the body is on its way: the upstream may have seen the beginning of it */
  cut: boolean;
}

export interface Family {
  name: string;
  cases: Case[];
}

/** Comes after every case. Whoever finds another boundary than the gateway does has it for something else. */
export const PROBE = 'GET /weather/v1/probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
export const PROBED: Passed = { method: 'GET', path: '/probe' };

/** What an attack wants the upstream, or the next client, to get. */
export const SMUGGLED = 'GET /weather/v1/smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

/** @param lines fields, each without its end */
export const get = (...lines: string[]): string => head('GET /weather/v1/a HTTP/1.1', lines);
export const post = (lines: string[], body = ''): string => head('POST /weather/v1/a HTTP/1.1', lines) + body;

export function head(line: string, lines: string[] = []): string {
  return `${[line, 'Host: a', ...lines].join('\r\n')}\r\n\r\n`;
}

export const chunked = (body: string, ...lines: string[]): string =>
  post(['Transfer-Encoding: chunked', ...lines], body);

/** Nothing of it goes anywhere, and nothing that follows is looked at. */
export function refused(name: string, bytes: string, status = 400, passed: Passed[] = []): Case {
  return {
    name,
    bytes,
    answers: [...passed.map(() => 200), status],
    passed,
    next: 'nothing',
    cut: false,
  };
}

/** ... found out when the head was good already. */
export function broken(name: string, bytes: string, passed: Passed[] = []): Case {
  return { ...refused(name, bytes, 400, passed), cut: true };
}

/** It is a well-framed request that is not served: it goes nowhere, and the next one is. */
export function turnedDown(name: string, bytes: string, status = 400): Case {
  return { name, bytes, answers: [status], passed: [], next: 'probe', cut: false };
}

/** It is what it says, and the next request begins where it ends. */
export function served(name: string, bytes: string, passed: Passed[], next: Case['next'] = 'probe'): Case {
  return { name, bytes, answers: passed.map(() => 200), passed, next, cut: false };
}

export const A: Passed = { method: 'GET', path: '/a' };
export const posted = (body: string, fields: Passed['fields'] = {}): Passed => ({
  method: 'POST',
  path: '/a',
  body,
  fields,
});
