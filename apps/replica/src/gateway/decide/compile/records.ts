import type { ApplicationRecord, PlanRecord } from '#model';
import type { Limits } from '#throttle';
import { policyHeader } from '../limit-headers.js';

/** An application as requests need it. */
export interface CompiledApplication {
  id: string;
  suspended: boolean;
  /** by API */
  subscriptions: ReadonlyMap<string, { id: string; plan: string }>;
}

export interface CompiledPlan {
  id: string;
  limits: Limits;
  /** the RateLimit-Policy field; null without limits */
  policy: string | null;
}

/** @throws SyntaxError or TypeError for a value that is no such record */
export function compileApplication(id: string, value: Buffer): CompiledApplication {
  const record = JSON.parse(value.toString('utf8')) as ApplicationRecord;
  const subscriptions = new Map(
    record.subscriptions.map(({ api, id: subscription, plan }) => [api as string, { id: subscription, plan }]),
  );
  return { id, suspended: record.suspended ?? false, subscriptions };
}

/** @throws SyntaxError or TypeError for a value that is no such record */
export function compilePlan(id: string, value: Buffer): CompiledPlan {
  const { rate, quota, perRoute, perApi } = JSON.parse(value.toString('utf8')) as PlanRecord;
  const limits: Limits = {
    plan: id,
    consumer: { rate: rate ?? null, quota: quota ?? null },
    route: perRoute ?? null,
    api: perApi ?? null,
  };
  return { id, limits, policy: policyHeader(limits) };
}
