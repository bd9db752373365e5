import { z } from 'zod';
import { intSetting } from '#platform';
import { type Limits, LIMITS } from '../gateway/engine/limits.js';

const MB = 1024 ** 2;

/** What clients may cost a gateway worker, as it is given. */
export const limitSettings = {
  HELIO_MAX_CONNECTIONS: intSetting(1, 1_000_000).default(LIMITS.connections),
  HELIO_MAX_HEAD_BYTES: intSetting(1024, 262_144).default(LIMITS.headBytes),
  HELIO_MAX_BODY_MB: intSetting(1, 1_048_576).default(LIMITS.bodyBytes / MB),
  HELIO_MAX_REQUESTS: intSetting(1, 1_000_000_000).default(LIMITS.requests),
  HELIO_MAX_PIPELINED: intSetting(1, 1000).default(LIMITS.pipelined),
  HELIO_HEAD_SECONDS: intSetting(1, 600).default(LIMITS.headMs / 1000),
  HELIO_BODY_SECONDS: intSetting(1, 3600).default(LIMITS.stallMs / 1000),
  HELIO_BODY_RATE: intSetting(0, 1_000_000_000).default(LIMITS.bodyRate),
  HELIO_IDLE_SECONDS: intSetting(1, 86_400).default(LIMITS.idleMs / 1000),
};

export function limitsOf(given: Readonly<z.infer<z.ZodObject<typeof limitSettings>>>): Limits {
  return Object.freeze({
    connections: given.HELIO_MAX_CONNECTIONS,
    headBytes: given.HELIO_MAX_HEAD_BYTES,
    bodyBytes: given.HELIO_MAX_BODY_MB * MB,
    requests: given.HELIO_MAX_REQUESTS,
    pipelined: given.HELIO_MAX_PIPELINED,
    headMs: given.HELIO_HEAD_SECONDS * 1000,
    stallMs: given.HELIO_BODY_SECONDS * 1000,
    bodyRate: given.HELIO_BODY_RATE,
    idleMs: given.HELIO_IDLE_SECONDS * 1000,
  });
}
