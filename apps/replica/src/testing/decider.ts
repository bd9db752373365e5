import type { Definition, Op } from '#model';
import { CompiledState } from '../gateway/decide/compile/compiled-state.js';
import { decide } from '../gateway/decide/decide.js';
import type { Decision, Forward } from '../gateway/decide/decision.js';
import { type Limiter, UNLIMITED } from '../gateway/decide/take-tokens.js';
import { applicationOp, definitionOf, keyOp, placed } from './gateway-ops.js';
import { MemoryState } from './memory-state.js';
import { headOf } from './request-heads.js';
import { planOp } from './sample-ops.js';

type Headers = Record<string, string | string[]>;

export const NOW = Date.parse('2026-05-02T12:00:00Z');
export const KEY = 'hg_live_test';
export const withKey = (more: Headers = {}): Headers => ({ 'x-api-key': KEY, ...more });

/** A state of one API with one customer, and what is decided by it. */
export class Decider {
  readonly memory = new MemoryState();
  readonly state = new CompiledState('eu-west');

  load(definition: Partial<Definition>, ...more: Op[]): void {
    const customer = [planOp('gold'), applicationOp({ 'weather:v1': 'gold' }), keyOp(KEY)];
    this.memory.apply(placed(definitionOf(definition)), customer, more);
    this.state.refresh(this.memory.snapshot());
  }

  run(
    method: string,
    target: string,
    headers: Headers = {},
    limiter: Limiter = UNLIMITED,
    address: string | null = '192.0.2.7',
  ): Decision {
    return decide(headOf(method, target, headers, address), this.state, limiter, NOW);
  }
}

/** `404 no_such_api: <detail>` of a decision that has to be a refusal. */
export function refusal(decision: Decision): string {
  if (decision.kind !== 'respond') throw new Error(`it is no refusal: ${decision.kind}`);
  const document = JSON.parse(decision.body) as { status: number; code: string; detail: string };
  return `${document.status} ${document.code}: ${document.detail}`;
}

export function forwarded(decision: Decision): Forward {
  if (decision.kind !== 'forward') throw new Error(`it is not forwarded: ${JSON.stringify(decision)}`);
  return decision;
}

/** The fields of an answer, names in lower case. */
export function fieldsOf(decision: Decision): Record<string, string> {
  if (decision.kind === 'wait') throw new Error('it is no answer yet');
  const { headers } = decision;
  const result: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) result[(headers[i] as string).toLowerCase()] = headers[i + 1] as string;
  return result;
}
