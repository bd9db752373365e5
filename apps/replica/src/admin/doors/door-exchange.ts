import { randomUUID } from 'node:crypto';
import { type ErrorCode, fail, HelioError } from '#model';
import { PROBLEM_TYPE } from '#platform';
import type { Forward, Respond } from '../../gateway/decide/decision.js';
import { problem } from '../../gateway/decide/problems.js';
import { requestIdOf } from '../../gateway/decide/request-head.js';
import { bytesOf, isBodiless } from '../../gateway/engine/client-answer.js';
import type { ClientExchange } from '../../gateway/engine/client-exchange.js';
import type { ClientSide } from '../../gateway/engine/client-side.js';
import type { ConnectionHost } from '../../gateway/engine/engine-parts.js';
import { linesOf } from '../../gateway/engine/field-lines.js';
import { OwnBody } from '../../gateway/engine/own-body.js';
import type { Fault } from '../../gateway/engine/wire/head-parser.js';
import type { Ask } from '../ask.service.js';
import { problemDocument } from '../problem-document.js';
import { parseValidate } from '../validate-schema.js';
import { isAuth, questionOf } from './auth-question.js';
import { JsonBody } from './json-body.js';
import type { OtherAnswer, Others } from './others.js';
import { Validation } from './validation.js';

const JSON_FIELDS = 'Content-Type: application/json; charset=utf-8\r\n';

/**
 * One request to the admin port after the other. `/auth` and `/validate` are answered here, by as little as it takes, since
 * they may be asked once for each request of another gateway; all other paths belong to the framework.
 */
export class DoorExchange implements ClientExchange {
  private active = false;
  /** counts the requests, so that what one of them waited for is not taken for another */
  private turn = 0;
  /** monotonic milliseconds: until when the client has to have taken the rest of the answer; 0: it has */
  private takenBy = 0;
  /** of a request to /validate */
  private body: JsonBody | null = null;
  /** an answer of the framework's that is on its way, and its bytes */
  private readonly outgoing: OwnBody;
  private lent = 0;

  constructor(
    private readonly host: ConnectionHost,
    private readonly client: ClientSide,
    private readonly ask: Ask,
    private readonly others: Others,
  ) {
    this.outgoing = new OwnBody(client.answer);
  }

  begin(): void {
    const { head } = this.client;
    this.active = true;
    this.turn += 1;
    head.requestId = requestIdOf(head.values('x-request-id'), randomUUID);
    this.attempt(() => {
      if (isAuth(head.target)) this.auth();
      else if (this.path === '/validate') this.expectQuestions();
      else this.wait(this.others.answer(head), (answer) => this.passOn(answer));
    });
  }

  refuseHead({ status, detail }: Fault): void {
    const { client } = this;
    client.head.requestId = randomUUID();
    client.answer.closing = true;
    const { code, headers, body } = problem('bad_request', detail, client.head.requestId, [], status);
    this.respond(status, linesOf(headers) + codeLine(code), bytesOf(body));
  }

  onBody(bytes: Buffer, from: number, end: number): void {
    this.attempt(() => this.body?.take(bytes, from, end));
  }

  onBodyEnd(): void {
    this.attempt(() => this.validate(new Validation(this.ask, parseValidate(this.body?.parse()))));
  }

  onBodyFault(detail: string, status?: number): void {
    this.client.framing.close = true;
    this.refuse(fail('bad_request', detail, status === undefined ? {} : { status }));
  }

  finish(): void {
    this.active = false;
    this.takenBy = 0;
    this.body = null;
    this.outgoing.clear();
    this.others.sent(this.lent);
    this.lent = 0;
  }

  abandon(): void {
    if (this.active) this.finish();
  }

  checkTimes(now: number): void {
    if (this.takenBy !== 0 && this.takenBy < now) this.client.reset();
  }

  onClientDrain(): void {
    if (this.outgoing.pending) this.goOn();
    else if (this.takenBy !== 0) this.client.answered();
  }

  /** No upgrade is agreed to. */
  onTunnelData(): void {}

  onTunnelEnd(): void {}

  /** A bug costs the request that met it, or the connection if that was answered already. */
  crash(error: unknown): void {
    const { client, host } = this;
    host.fault(error, this.active ? client.head.requestId : null);
    // what was read with it may be lost: nothing that follows on this connection could be told apart any more
    client.framing.close = true;
    try {
      if (!this.active) client.destroy();
      else if (client.answer.begun) client.reset();
      else this.refuse(fail('internal', 'a fault of this replica; its log says more'));
    } catch (another) {
      host.fault(another, null);
      client.reset();
    }
  }

  private get path(): string {
    return this.client.head.target.split('?', 1)[0] ?? '';
  }

  /** Counts against the limits, for the request is about to be served. A body is not looked at. */
  private auth(): void {
    const decision = this.ask.about(questionOf(this.client.head), true);
    if (decision.kind === 'wait') this.wait(decision.fetch(), () => this.auth());
    else this.answerAuth(decision);
  }

  private answerAuth(decision: Forward | Respond): void {
    let fields = linesOf(decision.headers);
    if (decision.kind === 'respond') {
      // 200 would send upstream what must not get there
      if (decision.code === null)
        throw fail('gateway_only', `${decision.api?.id} has the policy mock for this route, and no upstream is asked`);
      this.ask.decisions.count('auth', decision.code);
      return this.respond(decision.status, fields + codeLine(decision.code), bytesOf(decision.body));
    }
    const { api, consumer } = decision;
    this.ask.decisions.count('auth', null);
    fields += `X-Heliograph-Api: ${api.id}\r\n`;
    if (consumer)
      fields += `X-Heliograph-Application: ${consumer.application}\r\nX-Heliograph-Plan: ${consumer.plan}\r\n`;
    this.respond(200, fields, '');
  }

  private expectQuestions(): void {
    const { head, framing } = this.client;
    if (head.method !== 'POST')
      throw fail('method_not_allowed', '/validate is there for POST only', { headers: { allow: 'POST' } });
    this.body = new JsonBody(head, framing.length);
    this.client.collectBody();
  }

  private validate(validation: Validation): void {
    const answer = validation.run();
    if (typeof answer === 'string') this.respond(200, JSON_FIELDS, bytesOf(answer));
    else this.wait(answer.fetch(), () => this.validate(validation));
  }

  /** An answer of the framework's. */
  private passOn({ status, fields, length, bytes }: OtherAnswer): void {
    const { answer, head } = this.client;
    this.others.sends(bytes.length);
    this.lent = bytes.length;
    answer.closing ||= this.client.mustClose();
    answer.begin(status, fields, head.requestId, length, isBodiless(head.method, status), head.old, false);
    this.outgoing.begin(bytes);
    this.goOn();
  }

  private goOn(): void {
    if (this.outgoing.goOn()) this.answered();
    else this.takenBy = this.host.sweptAt + this.host.limits.stallMs;
  }

  private refuse(error: HelioError): void {
    if (isAuth(this.client.head.target)) this.ask.decisions.count('auth', error.code);
    else if (this.path === '/validate') this.ask.decisions.count('validate', error.code);
    const fields = linesOf(['Content-Type', PROBLEM_TYPE, ...Object.entries(error.headers).flat()]);
    this.respond(error.status, fields + codeLine(error.code), bytesOf(problemDocument(error, this.path)));
  }

  /** @param body one character per byte */
  private respond(status: number, fields: string, body: string): void {
    const { answer, head } = this.client;
    answer.closing ||= this.client.mustClose();
    answer.begin(status, fields, head.requestId, body.length, isBodiless(head.method, status), head.old, false);
    answer.endWith(body);
    if (this.active) this.answered();
  }

  private answered(): void {
    if (this.client.answer.blocked) this.takenBy = this.host.sweptAt + this.host.limits.stallMs;
    this.client.answered();
  }

  /** Goes on when something is there, unless the client has gone meanwhile. */
  private wait<T>(promise: Promise<T>, goOn: (value: T) => void): void {
    const { turn } = this;
    const isCurrent = (): boolean => this.active && this.turn === turn;
    promise
      .then((value) => {
        if (isCurrent()) this.attempt(() => goOn(value));
      })
      .catch((error: unknown) => {
        if (isCurrent()) this.crash(error);
        else this.host.fault(error, null);
      });
  }

  /** A refusal is an answer, and no bug. */
  private attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof HelioError)) throw error;
      this.refuse(error);
    }
  }
}

/** For proxies that drop the body of a refusal. */
function codeLine(code: ErrorCode): string {
  return `X-Heliograph-Code: ${code}\r\n`;
}
