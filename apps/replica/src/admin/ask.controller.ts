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
   * and -Uri or X-Original-Method and -URI, everything else as the caller sent it. It counts against the limits, for the
   * request is about to be served.
   *
   * @throws HelioError invalid_request without method and path
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

function questionOfProxy(request: FastifyRequest): Question {
  const { headersDistinct, socket } = request.raw;
  const values = (name: string): readonly string[] => headersDistinct[name] ?? [];
  const method = values('x-forwarded-method')[0] ?? values('x-original-method')[0];
  const target = values('x-forwarded-uri')[0] ?? values('x-original-uri')[0];
  if (method === undefined || target === undefined) {
    const field = method === undefined ? 'X-Forwarded-Method' : 'X-Forwarded-Uri';
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
  // the last address is the one that the asking proxy saw itself; the ones before may be anybody's word
  const addresses = values('x-forwarded-for').join(',').split(',');
  const remoteAddress = addresses.at(-1)?.trim() || (socket.remoteAddress ?? '');
  return { method, target, values, remoteAddress };
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
