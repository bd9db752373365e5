import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, fail, HelioError } from '#model';
import { type Logger, PROBLEM_TYPE } from '#platform';
import { problemDocument } from './problem-document.js';

/** Turns whatever was thrown into a problem document. What is not meant for callers goes to the log alone. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly log: Logger) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const path = request.url.split('?')[0] ?? '/';
    const error = asHelioError(thrown, `${request.method} ${path}`);
    if (error.code === 'internal') this.log.error({ err: thrown, path }, 'a request to the admin port failed');
    if (!reply.sent) sendProblem(reply, error, path);
  }
}

export function sendProblem(reply: FastifyReply, error: HelioError, path: string): void {
  void reply
    .status(error.status)
    .headers(error.headers)
    .header('content-type', PROBLEM_TYPE)
    .send(problemDocument(error, path));
}

const BY_STATUS: Record<number, ErrorCode> = {
  400: 'invalid_request',
  404: 'not_found',
  405: 'method_not_allowed',
  413: 'body_too_large',
  415: 'unsupported_media_type',
};

/** Errors of Nest and Fastify themselves say no more than their status: unknown paths, broken bodies. */
function asHelioError(thrown: unknown, what: string): HelioError {
  if (thrown instanceof HelioError) return thrown;
  const status =
    thrown instanceof HttpException ? thrown.getStatus() : (thrown as { statusCode?: number } | null)?.statusCode;
  const code = BY_STATUS[status ?? 500];
  // what the framework found in a body is told by its message alone
  if (code === 'invalid_request' && /\bJSON\b/.test((thrown as Error).message))
    return fail('malformed_json', (thrown as Error).message);
  if (code === 'not_found')
    return fail(
      'not_found',
      `there is no ${what} here: /status, /livez, /readyz, /metrics, /chain, /access-log, /auth and /validate`,
    );
  if (code) return fail(code, (thrown as Error).message);
  return fail('internal', 'a fault of this replica; its log says more');
}
