import { type ApplicationRecord, decodeKeyRecord, type PlanRecord } from '#model';
import type { Limits } from '#throttle';
import { IpList } from '../ip-list.js';
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

/** A key as requests need it. */
export interface CompiledKey {
  /** what the chain names it by, one character per byte */
  key: string;
  client: null;
  /** the application's id */
  application: string;
  revoked: boolean;
  /** milliseconds since 1970; null: never */
  expiresAt: number | null;
  scopes: ReadonlySet<string>;
  /** null: it may be used from anywhere */
  ips: IpList | null;
}

const NO_SCOPES: ReadonlySet<string> = new Set();

/** @throws RangeError for a value that is no such record */
export function compileKey(key: string, value: Buffer): CompiledKey {
  const { application, revoked, expiresAt, scopes, ips } = decodeKeyRecord(value);
  return {
    key,
    client: null,
    application,
    revoked,
    expiresAt,
    scopes: scopes ? new Set(scopes) : NO_SCOPES,
    ips: ips ? new IpList(ips) : null,
  };
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
