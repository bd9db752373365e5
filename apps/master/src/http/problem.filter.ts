import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Inject } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { type ErrorCode, ERRORS, fail, HelioError, problemType } from '#model';
import { type Logger, PROBLEM_TYPE, type ProblemDocument } from '#platform';
import { DatabaseError } from 'pg';
import { QueryFailedError } from 'typeorm';
import { LOG } from '../config/tokens.js';
import type { Answer, MasterRequest } from './request.js';

/** Of routes whose errors are no problem documents, but of a form that another standard gives them. */
type ErrorForm = (error: HelioError) => Answer;

/** Turns whatever was thrown into a problem document. What is not meant for callers goes to the log alone. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(@Inject(LOG) private readonly log: Logger) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<MasterRequest>();
    const reply = http.getResponse<FastifyReply>();
    const error = asHelioError(thrown, request);
    if (error.code === 'internal')
      this.log.error({ err: thrown, requestId: request.id, path: pathOf(request) }, 'a request failed');
    else if (error.code === 'database_unavailable')
      this.log.warn(
        { requestId: request.id, cause: String((thrown as Error).message) },
        'the database does not answer',
      );
    if (reply.sent) return;
    const { errorForm } = request.routeOptions.config as { errorForm?: ErrorForm };
    if (!errorForm) return sendProblem(reply, error, request);
    const { status, headers = {}, body } = errorForm(error);
    void reply.status(status).headers(headers).send(body);
  }
}

/** Also for what Fastify refuses before there is a route: a path that cannot be decoded. */
export function sendProblem(reply: FastifyReply, error: HelioError, request: Asked): void {
  void reply
    .status(error.status)
    .headers(error.headers)
    .header('content-type', PROBLEM_TYPE)
    .send(JSON.stringify(problemOf(error, request)));
}

function problemOf(error: HelioError, request: Asked): ProblemDocument {
  return {
    type: problemType(error.code),
    title: ERRORS[error.code].title,
    status: error.status,
    code: error.code,
    detail: error.detail,
    instance: pathOf(request),
    requestId: request.id,
    ...(error.fields.length > 0 ? { errors: error.fields } : {}),
  };
}

/** Without the query, which may hold anything. */
function pathOf(request: Pick<MasterRequest, 'url'>): string {
  return request.url.split('?')[0] ?? '/';
}

const CONNECTION_LOST = /^(08|57P0|53)/;
const LOCK_TIMEOUT = '55P03';

/** What an error's text needs of the request. */
type Asked = Pick<MasterRequest, 'id' | 'method' | 'url'>;

/** Also used by the bulk import, whose lines fail one by one. */
export function asHelioError(thrown: unknown, request?: Asked): HelioError {
  if (thrown instanceof HelioError) return thrown;
  // A DatabaseError by itself: what the server says to who connects, as long as it starts or has no connection left.
  if (thrown instanceof QueryFailedError || thrown instanceof DatabaseError || isSystemError(thrown)) {
    const code =
      (thrown as { code?: string; driverError?: { code?: string } }).driverError?.code ??
      (thrown as { code?: string }).code ??
      '';
    if (code === LOCK_TIMEOUT)
      return fail('database_unavailable', 'another write holds the same item for too long; send again', {
        headers: { 'retry-after': '1' },
      });
    if (CONNECTION_LOST.test(code) || /^E[A-Z]+$/.test(code))
      return fail('database_unavailable', 'the database does not answer; nothing was written', {
        headers: { 'retry-after': '1' },
      });
  }
  if (
    thrown instanceof Error &&
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
      thrown.message,
    )
  ) {
    return fail(
      'database_unavailable',
      'the connection to the database broke; whether a write arrived is known by its Idempotency-Key',
      { headers: { 'retry-after': '1' } },
    );
  }
  if (thrown instanceof HttpException || hasStatus(thrown)) return ofStatus(thrown, request);
  return fail('internal', `a fault of the master; its log says more under request id ${request?.id ?? 'unknown'}`);
}

function isSystemError(thrown: unknown): boolean {
  return thrown instanceof Error && typeof (thrown as NodeJS.ErrnoException).code === 'string' && 'syscall' in thrown;
}

function hasStatus(thrown: unknown): thrown is { statusCode: number; message: string } {
  return thrown instanceof Error && typeof (thrown as { statusCode?: unknown }).statusCode === 'number';
}

/** Errors of Nest and Fastify themselves: unknown paths, malformed URLs, broken bodies. */
function ofStatus(thrown: HttpException | { statusCode: number; message: string }, request?: Asked): HelioError {
  const status = thrown instanceof HttpException ? thrown.getStatus() : thrown.statusCode;
  const byStatus: Record<number, ErrorCode> = {
    400: 'invalid_request',
    404: 'not_found',
    405: 'method_not_allowed',
    413: 'body_too_large',
    415: 'unsupported_media_type',
  };
  const code = byStatus[status];
  if (code === 'not_found')
    return fail(
      'not_found',
      `there is no ${request?.method ?? ''} ${request ? pathOf(request) : ''}; /docs lists what there is`,
    );
  return code ? fail(code, thrown.message) : fail('internal', 'a fault of the master; its log says more');
}
