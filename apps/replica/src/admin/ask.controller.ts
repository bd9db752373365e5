import { All, Body, Controller, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { fail } from '#model';
import { parseValidate } from './ask.schema.js';
import { type Answer, Ask, type Question, questionOf } from './ask.service.js';

export type Verdict =
  | {
      valid: true;
      application: string | null;
      api: string;
      version: string;
      plan: string | null;
      expiresAt: string | null;
      revision: string;
    }
  | { valid: false; status: number; code: string };

/** What other gateways ask instead of passing their requests through this one. */
@Controller()
export class AskController {
  constructor(@Inject(Ask) private readonly ask: Ask) {}

  /**
   * For nginx auth_request, Traefik and APISIX forward-auth, Envoy ext_authz: method and path come in X-Forwarded-Method
   * and -Uri or X-Original-Method and -URI, everything else as the caller sent it; a body is not looked at. It counts
   * against the limits, for the request is about to be served.
   *
   * @throws HelioError invalid_request without method and path, bad_request where they are contradictory
   */
  @All('auth')
  async auth(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const { decision, requestId } = await this.ask.about(questionOfProxy(request), true);
    for (let i = 0; i < decision.headers.length; i += 2)
      void reply.header(decision.headers[i] as string, decision.headers[i + 1]);
    void reply.header('X-Request-Id', requestId);
    if (decision.kind === 'respond' && decision.code !== null) {
      await reply.status(decision.status).send(decision.body);
      return;
    }
    const { api, consumer } = decision;
    if (api) void reply.header('X-Heliograph-Api', api.id);
    if (consumer)
      void reply.headers({ 'X-Heliograph-Application': consumer.application, 'X-Heliograph-Plan': consumer.plan });
    await reply.status(200).send();
  }

  /**
   * One question or a list of up to 1000, and as many verdicts. Limits are neither asked nor spent unless `spend` is true.
   *
   * @throws HelioError invalid_request
   */
  @Post('validate')
  @HttpCode(200)
  async validate(@Body() body: unknown): Promise<Verdict | { items: Verdict[] }> {
    const { list, items, spend } = parseValidate(body);
    const verdicts: Verdict[] = [];
    for (const { method, path, key, token } of items) {
      verdicts.push(verdictOf(await this.ask.about(questionOf(method, path, key ?? token), spend)));
    }
    return list ? { items: verdicts } : (verdicts[0] as Verdict);
  }
}

/** Pairs of fields that say which request is meant. A proxy sets one of them and may pass a client's other one on. */
const SUBJECTS = [
  { method: 'X-Original-Method', target: 'X-Original-URI' },
  { method: 'X-Forwarded-Method', target: 'X-Forwarded-Uri' },
] as const;

/**
 * Nothing tells which pair the proxy set and which one its client made up, so none is preferred: whatever is there must
 * be whole, said once, and say the same.
 */
function questionOfProxy(request: FastifyRequest): Question {
  const { headersDistinct, socket } = request.raw;
  const values = (name: string): readonly string[] => headersDistinct[name] ?? [];
  const said = (field: string): readonly string[] => values(field.toLowerCase());
  const pairs = SUBJECTS.filter((pair) => said(pair.method).length + said(pair.target).length > 0);
  for (const field of (pairs.length > 0 ? pairs : SUBJECTS.slice(1)).flatMap((pair) => [pair.method, pair.target])) {
    if (said(field).length > 0) continue;
    throw fail('invalid_request', 'the request does not say which request it asks about', {
      fields: [
        {
          field,
          problem: 'is missing',
          expected: 'X-Forwarded-Method and X-Forwarded-Uri, or X-Original-Method and X-Original-URI',
        },
      ],
    });
  }
  const method = theOne(
    pairs.flatMap((pair) => said(pair.method)),
    'X-Original-Method and X-Forwarded-Method',
  );
  const target = theOne(
    pairs.flatMap((pair) => said(pair.target)),
    'X-Original-URI and X-Forwarded-Uri',
  );
  // the last address is the one that the asking proxy saw itself; the ones before may be anybody's word
  const addresses = values('x-forwarded-for').join(',').split(',');
  const remoteAddress = addresses.at(-1)?.trim() || (socket.remoteAddress ?? '');
  return { method, target, values, remoteAddress };
}

function theOne(values: readonly string[], fields: string): string {
  const [first = '', ...others] = values;
  if (others.every((value) => value === first)) return first;
  throw fail(
    'bad_request',
    `${fields} do not say the same; the asking proxy must set its own and remove those that its client sent`,
  );
}

function verdictOf({ decision, revision }: Answer): Verdict {
  const { api, consumer } = decision;
  if (decision.kind === 'respond' && decision.code !== null)
    return { valid: false, status: decision.status, code: decision.code };
  const expiresAt = consumer?.expiresAt ? new Date(consumer.expiresAt).toISOString() : null;
  const { name = '', version = '' } = api ?? {};
  return {
    valid: true,
    application: consumer?.application ?? null,
    api: name,
    version,
    plan: consumer?.plan ?? null,
    expiresAt,
    revision,
  };
}
