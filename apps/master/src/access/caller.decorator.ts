import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Caller, MasterRequest } from '../http/request.js';

/** Who calls the endpoint: `@CurrentCaller() caller: Caller`. */
export const CurrentCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<MasterRequest>();
  if (!caller) throw new Error('the handler is no endpoint: AccessGuard left no caller');
  return caller;
});
