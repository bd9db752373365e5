import {
  applyDecorators,
  createParamDecorator,
  Delete,
  type ExecutionContext,
  Get,
  Patch,
  Post,
  Put,
  SetMetadata,
} from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { type ErrorCode, fail } from '#model';
import { type FieldFault, faultsOf } from '#platform';
import type { z } from 'zod';
import type { Role } from '../database/entities.js';
import type { MasterRequest } from './request.js';

/** Who may call an endpoint: roles (admin may always), anybody, or a replica with its own token. */
export type Access = 'public' | 'replica' | readonly Role[];

export const VIEWERS: Access = ['viewer', 'publisher', 'operator'];
export const PUBLISHERS: Access = ['publisher'];
export const OPERATORS: Access = ['operator'];
export const WRITERS: Access = ['publisher', 'operator'];
export const ADMINS: Access = [];

type ObjectSchema = z.ZodObject;

/** All that is to be said of one route: validation, access, and the OpenAPI document are made from it. */
export interface EndpointSpec<
  P extends ObjectSchema = ObjectSchema,
  Q extends ObjectSchema = ObjectSchema,
  B extends z.ZodType = z.ZodType,
> {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** below `/v1`, with `:params` */
  path: string;
  tag: string;
  summary: string;
  description?: string;
  access: Access;
  params?: P;
  query?: Q;
  body?: B;
  /** content types of the body; default application/json */
  consumes?: readonly string[];
  /** bytes; default 1 MiB */
  bodyLimit?: number;
  /** the body is a stream that the handler reads itself */
  streamed?: boolean;
  /** what a good answer holds, by status; null for none */
  answers: Record<number, z.ZodType | null>;
  /** content type of the answers; default application/json */
  produces?: string;
  /** codes of its own, beside those that any endpoint may answer */
  errors?: readonly ErrorCode[];
}

/** Keeps the schemas' types, so that handlers get theirs inferred. */
export function endpoint<P extends ObjectSchema, Q extends ObjectSchema, B extends z.ZodType>(
  spec: EndpointSpec<P, Q, B>,
): EndpointSpec<P, Q, B> {
  return spec;
}

/** Whether it takes `Prefer: wait`: what people write with, and what answers once. */
export function mayWait({ method, access, streamed }: EndpointSpec): boolean {
  return method !== 'GET' && Array.isArray(access) && streamed !== true;
}

export interface InputOf<S extends EndpointSpec> {
  params: z.infer<NonNullable<S['params']>>;
  query: z.infer<NonNullable<S['query']>>;
  body: z.infer<NonNullable<S['body']>>;
}

export const ENDPOINT = Symbol('endpoint');
const VERBS = { GET: Get, POST: Post, PUT: Put, PATCH: Patch, DELETE: Delete } as const;
export const DEFAULT_BODY_LIMIT = 1024 * 1024;

/** Mounts a handler on the route that `spec` describes. */
export function Route(spec: EndpointSpec): MethodDecorator {
  const config = {
    bodyLimit: spec.body || spec.streamed ? (spec.bodyLimit ?? DEFAULT_BODY_LIMIT) : 64 * 1024,
    consumes: spec.consumes ?? ['application/json'],
    streamed: spec.streamed ?? false,
    endpoint: spec,
  };
  return applyDecorators(SetMetadata(ENDPOINT, spec), VERBS[spec.method](`/v1${spec.path}`), RouteConfig(config));
}

/** What was said of the route that a request came by; undefined where that is no endpoint: health, metrics, docs. */
export function endpointOf(request: MasterRequest): EndpointSpec | undefined {
  return (request.routeOptions.config as { endpoint?: EndpointSpec }).endpoint;
}

/** The validated input of the endpoint: `{params, query, body}`. @throws HelioError `invalid_request` */
export const Input = createParamDecorator((_: unknown, context: ExecutionContext) => {
  const request = context.switchToHttp().getRequest<MasterRequest>();
  const spec = endpointOf(request);
  if (!spec) throw new Error('the handler is no endpoint');
  const faults: FieldFault[] = [];
  const read = (schema: z.ZodType | undefined, value: unknown, root: string): unknown => {
    if (!schema) return undefined;
    // no body is a body that says nothing
    const result = schema.safeParse(value === undefined ? {} : value);
    if (!result.success) faults.push(...faultsOf(result.error, root));
    return result.data;
  };
  const query = queryOf(request, spec);
  if (!spec.query) refuseUnknownQuery(query, faults);
  const input = {
    params: read(spec.params, request.params, ''),
    query: read(spec.query, query, ''),
    body: spec.streamed ? undefined : read(spec.body, request.body, ''),
  };
  if (faults.length > 0) throw fail('invalid_request', summary(faults), { fields: faults });
  return input;
});

/** Without `applied`, where that goes with `Prefer: wait`. */
function queryOf(request: MasterRequest, spec: EndpointSpec): Record<string, unknown> {
  const { applied, ...query } = (request.query ?? {}) as Record<string, unknown>;
  return applied === undefined || mayWait(spec) ? query : { ...query, applied };
}

function refuseUnknownQuery(query: Record<string, unknown>, faults: FieldFault[]): void {
  for (const name of Object.keys(query)) {
    faults.push({
      field: name,
      problem: 'is not a known query parameter',
      expected: 'leave it out; this operation has none',
    });
  }
}

function summary(faults: FieldFault[]): string {
  const [first] = faults;
  const rest = faults.length > 1 ? ` (and ${faults.length - 1} more, see errors)` : '';
  return `${first?.field}: ${first?.problem}${rest}`;
}
