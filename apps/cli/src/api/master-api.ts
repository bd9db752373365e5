import { randomUUID } from 'node:crypto';
import createClient, { type Client } from 'openapi-fetch';
import type { Target } from '../contexts/choose-target.js';
import { CliError } from '../exit.js';
import { VERSION } from '../version.js';
import { streamedAnswer, wholeAnswer } from './answer.js';
import { fetchPatiently, isNotSent, unreachable } from './fetching.js';
import { failureOf } from './problem.js';
import type { paths } from './schema.js';

/** visible ASCII */
const IN_HEADERS = /^[\x21-\x7e]+$/;

export interface RawRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** with its values in it, each through `encodeURIComponent` */
  path: string;
  query?: Record<string, string | readonly string[] | undefined>;
  headers?: Record<string, string>;
  /** JSON, unless it is a string: that goes as it is, with the content type of `headers` */
  body?: unknown;
  signal?: AbortSignal;
}

export interface RawAnswer {
  status: number;
  headers: Headers;
  /** undefined where there is none */
  body: unknown;
}

/** The REST API of one master. Whatever is no 2xx is thrown as a CliError. */
export class MasterApi {
  /** typed by the master's own OpenAPI document */
  readonly http: Client<paths>;
  readonly server: string;

  /**
   * @param stop ends requests that are under way
   * @throws CliError for a token that no header can hold, which is not shown
   */
  constructor(
    private readonly target: Target,
    private readonly stop?: AbortSignal,
  ) {
    const { token, from, tokenFrom = from } = target;
    if (token !== undefined && !IN_HEADERS.test(token))
      throw new CliError(`${tokenFrom}: that is no access token: it has spaces, line breaks or other characters`, {
        exit: 'usage',
        next: `\`helio login ${target.server}\` keeps another one; or set HELIO_TOKEN to the token alone.`,
      });
    this.server = target.server;
    this.http = createClient<paths>({ baseUrl: target.server, fetch: (request) => this.fetched(request) });
  }

  /** A request that is described by data, not by types. */
  async send({ method, path, query, headers, body, signal }: RawRequest): Promise<RawAnswer> {
    const url = new URL(`${this.server}${path}`);
    for (const [name, value] of Object.entries(query ?? {}))
      for (const one of value === undefined ? [] : [value].flat()) url.searchParams.append(name, one);
    const json = body !== undefined && typeof body !== 'string';
    const response = await this.fetched(
      new Request(url, {
        method,
        headers: { ...(json && { 'content-type': 'application/json' }), ...headers },
        body: json ? JSON.stringify(body) : body,
        signal,
      }),
    );
    const text = await response.text();
    const value: unknown = text === '' ? undefined : JSON.parse(text);
    return { status: response.status, headers: response.headers, body: value };
  }

  /**
   * An answer whose body is read as it comes, or a request whose body is: sent once, and without a deadline.
   *
   * @param init.changesNothing of a POST that only asks: nobody has to know whether it arrived
   */
  async stream(
    path: string,
    { changesNothing = false, ...init }: RequestInit & { duplex?: 'half'; changesNothing?: boolean } = {},
  ): Promise<Response> {
    const request = this.asCaller(new Request(`${this.server}${path}`, init));
    let response: Response;
    try {
      response = await fetch(request, { redirect: 'manual' });
    } catch (error) {
      if (request.signal.aborted) throw error;
      const { method, url } = request;
      throw unreachable({ method: changesNothing ? 'GET' : method, url }, error, isNotSent(error));
    }
    if (!response.ok) throw await failureOf(response, this.target);
    return streamedAnswer(request, response, this.target);
  }

  private async fetched(request: Request): Promise<Response> {
    if (request.method === 'POST' && !request.headers.has('idempotency-key'))
      request.headers.set('idempotency-key', randomUUID());
    const asked = this.asCaller(request);
    const response = await fetchPatiently(asked);
    if (!response.ok) throw await failureOf(response, this.target);
    return wholeAnswer(asked, response, this.target);
  }

  private asCaller(request: Request): Request {
    if (this.target.token !== undefined) request.headers.set('authorization', `Bearer ${this.target.token}`);
    request.headers.set('user-agent', `helio/${VERSION}`);
    return this.stop ? new Request(request, { signal: AbortSignal.any([request.signal, this.stop]) }) : request;
  }
}

/** What an answer of `http` holds: failures are thrown before. */
export function answered<T>({ data }: { data?: T }): T {
  if (data === undefined) throw new Error('the answer is empty');
  return data;
}
