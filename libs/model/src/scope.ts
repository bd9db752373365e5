import { z } from 'zod';
import { cidr } from './policies.js';

/** One scope, by RFC 6749, 3.3: what a space-separated list can carry. */
export const scope = z
  .string()
  .max(128, 'a scope has at most 128 characters')
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'a scope is printable ASCII without spaces, double quotes and backslashes');

const once = (list: readonly string[]): boolean => new Set(list).size === list.length;

export const scopeList = z.array(scope).max(64, 'has at most 64 scopes').refine(once, 'names a scope twice');

/** Addresses and blocks that a credential may be used from. An empty list would be a credential for nobody. */
export const ipList = z
  .array(cidr)
  .min(1, 'must name an address or block; leave it out for any')
  .max(100, 'has at most 100 addresses and blocks')
  .refine(once, 'names an address twice');
