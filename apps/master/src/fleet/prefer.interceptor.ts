import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { mergeMap, type Observable } from 'rxjs';
import { endpointOf, mayWait } from '../http/endpoint.js';
import type { Answer, MasterRequest } from '../http/request.js';
import type { Carrier } from '../writes/revision-waiter.js';
import type { Position } from './applied.js';
import { AppliedWaiter } from './applied-waiter.js';
import { type WaitPreference, waitPreferenceOf } from './prefer.js';

/** Missing replicas that an answer names; it counts all of them. */
const MOST_NAMED = 20;

/**
 * Holds the answer to a write back until replicas have applied it, for who prefers so. Past the time the answer is what it
 * would have been, but for its status 202 and the headers that say what is missing: a secret that is shown once is never lost.
 */
@Injectable()
export class PreferInterceptor implements NestInterceptor {
  constructor(private readonly waiter: AppliedWaiter) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<MasterRequest>();
    const spec = endpointOf(request);
    if (!spec || !mayWait(spec)) return next.handle();
    const preference = waitPreferenceOf(request);
    if (!preference) return next.handle();
    const reaches = await this.waiter.check(preference.applied);
    const until = Date.now() + preference.seconds * 1000;
    if (request.caller) request.caller = { ...request.caller, reaches, until };
    return next.handle().pipe(mergeMap((answer: Answer) => this.applied(answer, preference, until)));
  }

  private async applied(answer: Answer, { seconds, applied }: WaitPreference, until: number): Promise<Answer> {
    const targets = answer.carriedBy ?? [];
    const missing = await Promise.all(
      targets.map(({ environment, revision }) =>
        revision === null
          ? Promise.resolve([])
          : this.waiter.wait({ environment, revision }, applied, until - Date.now()),
      ),
    );
    const open = targets.filter(({ revision }, index) => revision === null || missing[index]?.length !== 0);
    const headers = { ...answer.headers, 'preference-applied': `wait=${seconds}` };
    return open.length === 0
      ? { ...answer, headers }
      : { ...answer, status: 202, headers: { ...headers, ...missingHeaders(open, missing.flat()) } };
  }
}

function missingHeaders(open: readonly Carrier[], missing: readonly Position[]): Record<string, string> {
  const named = missing.slice(0, MOST_NAMED).map(({ replica, revision }) => `${replica}@${revision}`);
  const unpublished = open.flatMap(({ environment, revision }) =>
    revision === null ? [`unpublished in ${environment}`] : [],
  );
  const monitors = open.flatMap(({ environment, revision }) =>
    revision === null ? [] : [`</v1/environments/${environment}/revisions/${revision}/convergence>; rel="monitor"`],
  );
  return {
    'heliograph-missing': [...unpublished, ...named].join(', '),
    'heliograph-missing-count': String(missing.length),
    ...(monitors.length > 0 ? { link: monitors.join(', ') } : {}),
  };
}
