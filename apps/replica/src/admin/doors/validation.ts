import { bytesOf } from '../../gateway/engine/client-answer.js';
import type { Decision, Forward, Respond, Wait } from '../../gateway/decide/decision.js';
import type { RequestHead } from '../../gateway/decide/request-head.js';
import type { Ask } from '../ask.service.js';
import type { ValidateBody } from '../validate-schema.js';

const NOBODY: readonly string[] = [];

/** The questions of one POST /validate, answered one after the other. */
export class Validation {
  private next = 0;
  private text = '';
  private readonly question = new CredentialQuestion();

  constructor(
    private readonly ask: Ask,
    private readonly body: ValidateBody,
  ) {}

  /** Goes on until all are answered, or tokens have to be fetched first. @returns the whole answer in JSON */
  run(): string | Wait {
    const { ask, body, question } = this;
    const { items, list, spend } = body;
    while (this.next < items.length) {
      const { method, path, key, token } = items[this.next] as ValidateBody['items'][number];
      question.ask(method, path, key ?? token);
      const decision: Decision = ask.about(question, spend);
      if (decision.kind === 'wait') return decision;
      ask.decisions.count('validate', decision.kind === 'respond' ? decision.code : null);
      this.text += (this.next === 0 ? '' : ',') + verdict(decision, ask.revision);
      this.next += 1;
    }
    return list ? `{"items":[${this.text}]}` : this.text;
  }
}

/** A request that carries a credential and nothing else. One for all of a body. */
class CredentialQuestion implements RequestHead {
  method = '';
  target = '';
  /** nobody knows it, and IP lists are not asked */
  readonly remoteAddress = null;
  /** of answers that nobody gets to see */
  readonly requestId = '';
  private authorization = NOBODY;

  ask(method: string, target: string, credential: string | undefined): void {
    this.method = method;
    this.target = target;
    // Bearer is a place that every API takes a credential from; on the wire it would be bytes, not characters
    this.authorization = credential === undefined ? NOBODY : [`Bearer ${bytesOf(credential)}`];
  }

  values(name: string): readonly string[] {
    return name === 'authorization' ? this.authorization : NOBODY;
  }
}

function verdict(decision: Forward | Respond, revision: string): string {
  const { api, consumer } = decision;
  if (decision.kind === 'respond' && decision.code !== null)
    return `{"valid":false,"status":${decision.status},"code":"${decision.code}"}`;
  const expiresAt = consumer?.expiresAt ? `"${new Date(consumer.expiresAt).toISOString()}"` : 'null';
  const whose = consumer ? JSON.stringify(consumer.application) : 'null';
  const which = `"api":${JSON.stringify(api?.name ?? '')},"version":${JSON.stringify(api?.version ?? '')}`;
  const plan = consumer ? JSON.stringify(consumer.plan) : 'null';
  return `{"valid":true,"application":${whose},${which},"plan":${plan},"expiresAt":${expiresAt},"revision":"${revision}"}`;
}
