import type { ProblemDocument } from '#platform';

// the answers of many endpoints: a test says which by what it reads
// oxlint-disable-next-line typescript/no-explicit-any
type Body = any;

export interface Answer {
  status: number;
  headers: Headers;
  /** parsed where it is JSON, else text */
  body: Body;
}

interface RequestOptions {
  /** JSON unless it is a string or bytes; those want a `content-type` in `headers` */
  body?: unknown;
  headers?: Record<string, string>;
  /** the only status that is right; default: any 2xx */
  status?: number;
}

/** The answer was another one than the test asked for. */
export class UnexpectedAnswer extends Error {
  constructor(
    request: string,
    readonly answer: Answer,
  ) {
    super(`${request} was answered ${answer.status}: ${describeBody(answer.body)}`);
    this.name = 'UnexpectedAnswer';
  }

  get problem(): ProblemDocument {
    return this.answer.body as ProblemDocument;
  }
}

/** Speaks to the master's REST API with one access token, or none. */
export class Client {
  constructor(
    readonly url: string,
    private readonly token?: string,
  ) {}

  get(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request('GET', path, options);
  }

  post(path: string, body?: unknown, options?: RequestOptions): Promise<Answer> {
    return this.request('POST', path, { body, ...options });
  }

  put(path: string, body: unknown, options?: RequestOptions): Promise<Answer> {
    return this.request('PUT', path, { body, ...options });
  }

  patch(path: string, body: unknown, options?: RequestOptions): Promise<Answer> {
    return this.request('PATCH', path, { body, ...options });
  }

  delete(path: string, options?: RequestOptions): Promise<Answer> {
    return this.request('DELETE', path, options);
  }

  /** All items of a list, page by page. */
  async all(path: string): Promise<Body[]> {
    const items: Body[] = [];
    const url = new URL(path, this.url);
    for (;;) {
      const { body } = await this.get(`${url.pathname}${url.search}`);
      items.push(...body.items);
      if (body.next === null) return items;
      url.searchParams.set('cursor', body.next);
    }
  }

  /** @throws UnexpectedAnswer */
  async request(method: string, path: string, { body, headers, status }: RequestOptions = {}): Promise<Answer> {
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(this.token === undefined ? {} : { authorization: `Bearer ${this.token}` }),
        ...(body === undefined || raw ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : raw ? (body as string) : JSON.stringify(body),
      redirect: 'manual',
    });
    const answer = {
      status: response.status,
      headers: response.headers,
      body: parse(await response.text(), response.headers),
    };
    const right = status === undefined ? response.ok : response.status === status;
    if (!right) throw new UnexpectedAnswer(`${method} ${path}`, answer);
    return answer;
  }
}

function parse(text: string, headers: Headers): Body {
  return /\bjson\b/.test(headers.get('content-type') ?? '') && text !== '' ? JSON.parse(text) : text;
}

function describeBody(body: Body): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body, null, 2);
  return text.length > 2000 ? `${text.slice(0, 2000)} ...` : text;
}
