import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { map, type Observable } from 'rxjs';
import type { Answer } from './request.js';

/** Writes status, ETag and headers of a handler's answer to the response. */
@Injectable()
export class AnswerInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    return next.handle().pipe(
      map((answer: Answer | undefined) => {
        if (answer === undefined || reply.sent) return undefined; // the handler wrote the response itself
        reply.status(answer.status);
        if (answer.headers) reply.headers(answer.headers);
        if (answer.etag !== undefined) reply.header('etag', `"${answer.etag}"`);
        return answer.body;
      }),
    );
  }
}
