import type { ErrorCode } from '#model';
import type { CompiledApi, CompiledRoute } from './compile/compile-api.js';
import type { Consumer, Respond } from './decision.js';
import { problem } from './problems.js';

/** What is known of a request so far; every answer to it carries that. */
export class Reply {
  api: CompiledApi | null = null;
  route: CompiledRoute | null = null;
  consumer: Consumer | null = null;
  /** names and values in turn, for whatever the answer will be */
  readonly headers: string[] = [];

  constructor(private readonly requestId: string) {}

  refuse(code: ErrorCode, detail: string, headers: readonly string[] = []): Respond {
    const { api, route, consumer } = this;
    return {
      kind: 'respond',
      api,
      route,
      consumer,
      ...problem(code, detail, this.requestId, [...headers, ...this.headers]),
    };
  }

  answer(status: number, headers: readonly string[], body: string): Respond {
    const { api, route, consumer } = this;
    return { kind: 'respond', api, route, consumer, code: null, status, headers: [...headers, ...this.headers], body };
  }
}
