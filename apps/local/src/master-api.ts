import type { ProblemDocument } from '#platform';

const TIMEOUT_MS = 15_000;

interface WriteOptions {
  /** the request may be sent again after a crash: it is done once and answered the same */
  idempotencyKey?: string;
}

/** The part of the master's REST API that setting up needs. */
export class MasterApi {
  constructor(
    readonly url: string,
    private readonly token: string,
  ) {}

  /** @returns the parsed answer @throws Error with what the master says against it */
  async write<T>(
    method: 'POST' | 'PUT',
    path: string,
    body: object,
    { idempotencyKey }: WriteOptions = {},
  ): Promise<T> {
    const response = await this.send(method, path, body, idempotencyKey);
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${await explain(response)}`);
    return (await response.json()) as T;
  }

  /** Creates what may be there already. */
  async ensure(path: string, body: object): Promise<void> {
    const response = await this.send('POST', path, body);
    if (response.ok || response.status === 409) return void (await response.body?.cancel());
    throw new Error(`POST ${path} was answered ${response.status}: ${await explain(response)}`);
  }

  private send(method: string, path: string, body: object, idempotencyKey?: string): Promise<Response> {
    return fetch(`${this.url}/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        'content-type': 'application/json',
        ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  }
}

async function explain(response: Response): Promise<string> {
  const text = await response.text();
  if (!response.headers.get('content-type')?.includes('json')) return text.slice(0, 300);
  const { detail, errors = [] } = JSON.parse(text) as ProblemDocument;
  return [detail, ...errors.map(({ field, problem }) => `${field} ${problem}`)].join('; ');
}
