import { z } from 'zod';

const slug = (a: string): z.ZodString =>
  z
    .string()
    .min(1, `${a} must not be empty`)
    .max(32, `${a} has at most 32 characters`)
    .regex(/^[a-z][a-z0-9-]*$/, `${a} is lower-case letters, digits and dashes, and begins with a letter`);

/** `prod` */
export const environmentId = slug('an environment id');
/** `eu-west` */
export const regionId = slug('a region id');
/** `gold` */
export const planId = slug('a plan id');
/** `eu-west-1` */
export const replicaId = z
  .string()
  .max(64, 'a replica id has at most 64 characters')
  .regex(/^[a-z0-9][a-z0-9.-]*$/, 'a replica id is lower-case letters, digits, dots and dashes');

export const apiName = z
  .string()
  .max(64, 'an API name has at most 64 characters')
  .regex(/^[a-z0-9][a-z0-9-]*$/, 'an API name is lower-case letters, digits and dashes');
export const apiVersion = z
  .string()
  .max(32, 'an API version has at most 32 characters')
  .regex(/^[a-z0-9][a-z0-9._-]*$/, 'an API version is lower-case letters, digits, dots, dashes and underscores');

/** `weather:v1`: how an API is named in URLs, on the chain and in logs. */
export type ApiId = `${string}:${string}`;

export function apiIdOf(api: { name: string; version: string }): ApiId {
  return `${api.name}:${api.version}`;
}

// The type is told and not made by a transform: what answers say can be written down only where nothing is transformed.
export const apiId = z.string().refine(
  (text) => {
    const [name, version, ...rest] = text.split(':');
    return rest.length === 0 && apiName.safeParse(name).success && apiVersion.safeParse(version).success;
  },
  { message: 'an API is named <name>:<version>, like weather:v1' },
) as unknown as z.ZodType<ApiId, string>;

/** SHA-256 in lower-case hexadecimal. */
export const digestHex = z.string().regex(/^[0-9a-f]{64}$/, 'a digest is 64 lower-case hexadecimal characters');

/** The region of a placement that holds wherever no other does. */
export const DEFAULT_REGION = '*';
