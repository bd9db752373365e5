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

  /** @param members more of the problem document: JSON that begins with a comma */
  refuse(code: ErrorCode, detail: string, headers: readonly string[] = [], members = ''): Respond {
    const { api, route, consumer } = this;
    return {
      kind: 'respond',
      api,
      route,
      consumer,
      ...problem(code, detail, this.requestId, [...headers, ...this.headers], undefined, members),
    };
  }

  answer(status: number, headers: readonly string[], body: string): Respond {
    const { api, route, consumer } = this;
    return { kind: 'respond', api, route, consumer, code: null, status, headers: [...headers, ...this.headers], body };
  }
}
