import type { ProblemDocument } from '#platform';

const TIMEOUT_MS = 15_000;

export interface WriteOptions {
  /** the request may be sent again after a crash: it is done once and answered the same */
  idempotencyKey?: string;
  /** seconds; the answer may come later, and tell more */
  wait?: number;
}

/** What the master says against a request. */
export class MasterError extends Error {
  constructor(
    message: string,
    readonly status: number,
    /** of its problem document */
    readonly code: string | undefined,
  ) {
    super(message);
  }
}

/** The part of the master's REST API that `npm start` and the demo need. */
export class MasterApi {
  constructor(
    readonly url: string,
    private readonly token: string,
  ) {}

  /** @returns the parsed answer @throws MasterError */
  async write<T>(method: 'POST' | 'PUT', path: string, body: object, options: WriteOptions = {}): Promise<T> {
    return parsed<T>(method, path, await this.send(method, path, body, options));
  }

  /** @returns the parsed answer @throws MasterError */
  async get<T>(path: string): Promise<T> {
    return parsed<T>('GET', path, await this.send('GET', path));
  }

  /** All of a list, page by page. @throws MasterError */
  async all<T>(path: string): Promise<T[]> {
    const items: T[] = [];
    for (let cursor = ''; ; ) {
      const separator = path.includes('?') ? '&' : '?';
      const page = await this.get<{ items: T[]; next: string | null }>(`${path}${separator}limit=200${cursor}`);
      items.push(...page.items);
      if (page.next === null) return items;
      cursor = `&cursor=${encodeURIComponent(page.next)}`;
    }
  }

  /** Creates what may be there already. */
  async ensure(path: string, body: object): Promise<void> {
    const response = await this.send('POST', path, body);
    if (response.ok || response.status === 409) return void (await response.body?.cancel());
    throw await errorOf('POST', path, response);
  }

  private send(method: string, path: string, body?: object, options: WriteOptions = {}): Promise<Response> {
    const { idempotencyKey, wait } = options;
    return fetch(`${this.url}/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
        ...(wait === undefined ? {} : { prefer: `wait=${wait}` }),
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS + (wait ?? 0) * 1000),
    });
  }
}

async function parsed<T>(method: string, path: string, response: Response): Promise<T> {
  if (!response.ok) throw await errorOf(method, path, response);
  return (await response.json()) as T;
}

async function errorOf(method: string, path: string, response: Response): Promise<MasterError> {
  const { status } = response;
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  const problem: Partial<ProblemDocument> = isJson ? (JSON.parse(text) as ProblemDocument) : {};
  const { detail = text.slice(0, 300), code, errors = [] } = problem;
  const why = [detail, ...errors.map(({ field, problem: fault }) => `${field} ${fault}`)].join('; ');
  return new MasterError(`${method} ${path} was answered ${status}: ${why}`, status, code);
}
