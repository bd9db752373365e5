import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { map, mergeMap, type Observable } from 'rxjs';
import { ENDPOINT, type EndpointSpec, mayWait } from '../http/endpoint.js';
import type { Answer, MasterRequest } from '../http/request.js';
import { UNKNOWN_REVISION } from '../writes/revision-waiter.js';
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
    const spec = Reflect.getMetadata(ENDPOINT, context.getHandler()) as EndpointSpec | undefined;
    if (!spec || !mayWait(spec)) return next.handle();
    const preference = waitPreferenceOf(context.switchToHttp().getRequest<MasterRequest>());
    if (!preference) return next.handle().pipe(map((answer: Answer) => withRevisions(answer, targetsOf(answer))));
    await this.waiter.check(preference.applied);
    const until = Date.now() + preference.seconds * 1000;
    return next.handle().pipe(mergeMap((answer: Answer) => this.applied(answer, preference, until)));
  }

  private async applied(answer: Answer, { seconds, applied }: WaitPreference, until: number): Promise<Answer> {
    const targets = targetsOf(answer);
    const missing = await Promise.all(
      targets.map(({ environment, revision }) =>
        revision === null
          ? Promise.resolve([])
          : this.waiter.wait({ environment, revision }, applied, until - Date.now()),
      ),
    );
    const open = targets.filter(({ revision }, index) => revision === null || missing[index]?.length !== 0);
    const told = withRevisions(answer, targets);
    const headers = { ...told.headers, 'preference-applied': `wait=${seconds}` };
    return open.length === 0
      ? { ...told, headers }
      : { ...told, status: 202, headers: { ...headers, ...missingHeaders(open, missing.flat()) } };
  }
}

interface Target {
  environment: string;
  /** null: it is not known yet which one carries the write */
  revision: number | null;
}

function targetsOf({ headers }: Answer): Target[] {
  return (headers?.['heliograph-revision'] ?? '').split(', ').flatMap((one) => {
    const [environment, revision] = one.split('@');
    if (!environment || revision === undefined) return [];
    return { environment, revision: revision === UNKNOWN_REVISION ? null : Number(revision) };
  });
}

/** With the revisions that are known. */
function withRevisions(answer: Answer, targets: readonly Target[]): Answer {
  if (targets.every(({ revision }) => revision !== null)) return answer;
  const { 'heliograph-revision': _all, ...headers } = answer.headers ?? {};
  const known = targets.flatMap(({ environment, revision }) =>
    revision === null ? [] : [`${environment}@${revision}`],
  );
  return { ...answer, headers: known.length > 0 ? { ...headers, 'heliograph-revision': known.join(', ') } : headers };
}

function missingHeaders(open: readonly Target[], missing: readonly Position[]): Record<string, string> {
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
