import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type ReplicaStatus, type UsageAnswer, type UsageReport, usageAnswer } from '#model';
import { VERSION } from '../version.js';

/** What the master did not do, or not yet. Holds no secret. */
export class MasterError extends Error {
  constructor(
    readonly code: 'master_unreachable' | 'master_unavailable' | 'master_refused' | 'master_answer_invalid',
    detail: string,
  ) {
    super(detail);
    this.name = 'MasterError';
  }

  /** Whether asking again soon can help, without anybody doing something. */
  get passes(): boolean {
    return this.code === 'master_unreachable' || this.code === 'master_unavailable';
  }
}

const joinAnswer = z.object({
  replica: z.string(),
  token: z.string().min(1),
  environment: z.string(),
  region: z.string(),
  trustedKeys: z.array(z.string()).min(1),
  store: z.string(),
});
export type JoinAnswer = z.infer<typeof joinAnswer>;

export interface JoinRequest {
  token: string;
  environment: string;
  region: string;
  replica?: string;
}

const TIMEOUT_MS = 10_000;

/** The calls that a replica makes to its master. None is needed for serving. */
export class MasterClient {
  /** A join whose answer was lost is answered the same again: its token may have been good for one use. */
  readonly #joinKey = randomUUID();
  /** the instance that answered last */
  #at = 0;

  /** @param urls of the instances of the master: the first that answers is asked from then on */
  constructor(private readonly urls: readonly string[]) {}

  /** @throws MasterError */
  async join(request: JoinRequest, signal: AbortSignal): Promise<JoinAnswer> {
    const answer = joinAnswer.safeParse(
      await this.#post(
        '/v1/replicas/join',
        { ...request, build: VERSION },
        { 'idempotency-key': this.#joinKey },
        signal,
      ),
    );
    if (answer.success) return answer.data;
    const [issue] = answer.error.issues;
    throw new MasterError(
      'master_answer_invalid',
      `${this.#url} answered the join with a wrong ${issue?.path.join('.') || 'body'}: ${issue?.message}`,
    );
  }

  /** @throws MasterError */
  async report(status: ReplicaStatus, token: string, signal: AbortSignal): Promise<void> {
    await this.#post('/v1/replicas/status', status, { authorization: `Bearer ${token}` }, signal);
  }

  /** @returns when it is written; @throws MasterError */
  async reportUsage(report: UsageReport, token: string, signal: AbortSignal): Promise<UsageAnswer> {
    const headers = { authorization: `Bearer ${token}` };
    const answer = usageAnswer.safeParse(await this.#post('/v1/replicas/usage', report, headers, signal));
    if (answer.success) return answer.data;
    throw new MasterError('master_answer_invalid', `${this.#url} answered a report of usage with something else`);
  }

  get #url(): string {
    return this.urls[this.#at] as string;
  }

  /** Of each instance at most once; what one refuses, no other one is asked. */
  async #post(path: string, body: unknown, headers: Record<string, string>, signal: AbortSignal): Promise<unknown> {
    for (let left = this.urls.length - 1; ; left--) {
      try {
        return await this.#postTo(this.#url, path, body, headers, signal);
      } catch (error) {
        if (!(error instanceof MasterError) || !error.passes) throw error;
        this.#at = (this.#at + 1) % this.urls.length;
        if (left === 0 || signal.aborted) throw error;
      }
    }
  }

  async #postTo(
    url: string,
    path: string,
    body: unknown,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<unknown> {
    signal.throwIfAborted();
    const call = new AbortController();
    const abort = (): void => call.abort();
    const timer = setTimeout(abort, TIMEOUT_MS);
    signal.addEventListener('abort', abort, { once: true });
    try {
      const response = await fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
        body: JSON.stringify(body),
        redirect: 'error', // a token goes to the master that was configured, and to nobody else
        signal: call.signal,
      });
      const text = await response.text();
      if (response.ok) return text === '' ? null : JSON.parse(text);
      throw refusal(url + path, response.status, text);
    } catch (error) {
      if (error instanceof MasterError) throw error;
      if (error instanceof SyntaxError)
        throw new MasterError('master_answer_invalid', `${url}${path} did not answer with JSON`);
      throw new MasterError('master_unreachable', `${url} cannot be reached: ${reasonOf(error, call.signal)}`);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }
}

function refusal(url: string, status: number, text: string): MasterError {
  const passes = status >= 500 || status === 408 || status === 429;
  return new MasterError(
    passes ? 'master_unavailable' : 'master_refused',
    `${url} answered ${status}${detailOf(text)}`,
  );
}

/** What a problem document says, if it is one. */
function detailOf(text: string): string {
  try {
    const { code, detail } = JSON.parse(text) as { code?: unknown; detail?: unknown };
    return `: ${String(code)}: ${String(detail).slice(0, 500)}`;
  } catch {
    return '';
  }
}

/** fetch says "fetch failed", and why in its cause. */
function reasonOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return `no answer within ${TIMEOUT_MS} ms`;
  const { cause, message } = error as Error;
  return cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : message;
}
