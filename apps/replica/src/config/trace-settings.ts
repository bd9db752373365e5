import { z } from 'zod';
import { type FieldFault, urlSetting } from '#platform';
import type { TraceOptions } from '../gateway/engine/trace/trace-options.js';
import { NOT_TRACED, type Sampler } from '../gateway/engine/trace/tracing.js';

const SAMPLERS = ['always_on', 'always_off', 'traceidratio'] as const;
const samplerNames = [...SAMPLERS, ...SAMPLERS.map((name) => `parentbased_${name}` as const)];
const PARENT_BASED = 'parentbased_';

/** `name=value` with commas between them; values are percent-encoded. Never shown: they are credentials as a rule. */
const headerList = z.string().transform((text, context) => {
  const headers: Record<string, string> = {};
  for (const part of text.split(',')) {
    const [, name, value] = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*([\x20-\x7e]*?)\s*$/.exec(part) ?? [];
    try {
      if (name === undefined || value === undefined) throw new URIError();
      headers[name.toLowerCase()] = z
        .string()
        .regex(/^[\x20-\x7e]*$/)
        .parse(decodeURIComponent(value));
    } catch {
      context.addIssue('must be name=value with commas between them, values percent-encoded');
      return z.NEVER;
    }
  }
  return headers;
});

/** OpenTelemetry's own names, as every program of a fleet is given them. */
export const traceSettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: urlSetting.optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: z.literal('http/json', 'must be http/json: no other is spoken').default('http/json'),
  OTEL_EXPORTER_OTLP_HEADERS: headerList.default({}),
  OTEL_SERVICE_NAME: z.string().max(200, 'must have at most 200 characters').default('heliograph'),
  OTEL_TRACES_SAMPLER: z.enum(samplerNames, `must be one of ${samplerNames.join(', ')}`).optional(),
  OTEL_TRACES_SAMPLER_ARG: z
    .string()
    .regex(/^(0|1|0?\.\d{1,9}|1\.0|0\.0)$/, 'must be a share from 0 to 1')
    .transform(Number)
    .default(1),
};
type Given = z.infer<z.ZodObject<typeof traceSettings>>;

export function traceFaults({ OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG }: Partial<Given>): FieldFault[] {
  if (OTEL_TRACES_SAMPLER?.endsWith('traceidratio') || OTEL_TRACES_SAMPLER_ARG === undefined) return [];
  if (OTEL_TRACES_SAMPLER_ARG === 1) return [];
  const expected = 'set OTEL_TRACES_SAMPLER to traceidratio or parentbased_traceidratio';
  return [{ field: 'OTEL_TRACES_SAMPLER_ARG', problem: 'is a share that no sampler asks for', expected }];
}

/** @param resource who the spans are of */
export function traceOptions(given: Given, resource: TraceOptions['resource']): TraceOptions {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SERVICE_NAME } = given;
  return {
    sampler: samplerOf(given),
    url: endpoint === undefined ? null : `${endpoint}/v1/traces`,
    headers: given.OTEL_EXPORTER_OTLP_HEADERS,
    resource: { 'service.name': OTEL_SERVICE_NAME, ...resource },
  };
}

/** Without a collector and a sampler nobody records a trace that begins here, and its flag says so. */
function samplerOf(given: Given): Sampler {
  const name = given.OTEL_TRACES_SAMPLER ?? (given.OTEL_EXPORTER_OTLP_ENDPOINT ? 'parentbased_always_on' : null);
  if (name === null) return NOT_TRACED;
  const ratio = name.endsWith('always_on') ? 1 : name.endsWith('always_off') ? 0 : given.OTEL_TRACES_SAMPLER_ARG;
  return { followsParent: name.startsWith(PARENT_BASED), ratio };
}
