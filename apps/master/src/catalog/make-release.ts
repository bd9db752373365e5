import { hash } from 'node:crypto';
import { LIMITS } from '#artifacts';
import { type Definition, definition, fail, type HelioError } from '#model';
import { canonicalJson, type FieldFault, faultsOf } from '#platform';
import { type ImportedApi, importOpenApi } from './openapi/import-openapi.js';
import type { ReleaseInput } from './release-input.js';

/** What a definition takes over from its API, and may not say otherwise. */
export interface ApiIdentity {
  id: string;
  name: string;
  version: string;
  context: string;
}

export interface NewRelease {
  definition: Definition;
  /** canonical JSON */
  bytes: Buffer;
  /** SHA-256 of the bytes */
  digest: Buffer;
  report: ImportedApi['report'] | null;
}

/**
 * Makes a release of what was sent. Reads and computes only; it blocks, for seconds if the document is of many megabytes of YAML.
 *
 * @throws HelioError `definition_invalid`, `openapi_invalid`
 */
export function makeRelease(input: ReleaseInput, api: ApiIdentity): NewRelease {
  const { made, report } = definitionOf(input, api);
  const bytes = canonicalBytes(made, input.at);
  return { definition: made, bytes, digest: hash('sha256', bytes, 'buffer'), report };
}

function definitionOf(input: ReleaseInput, api: ApiIdentity): { made: Definition; report: NewRelease['report'] } {
  const given: Record<string, unknown> = input.kind === 'definition' ? input.definition : input.overrides;
  const identity = { name: api.name, version: api.version, context: api.context };
  const others = Object.entries(identity).filter(
    ([field, value]) => given[field] !== undefined && given[field] !== value,
  );
  if (others.length > 0) {
    throw invalid(
      others.map(([field, value]) => ({
        field: `${input.at}${field}`,
        problem: `is not that of the API "${api.id}"`,
        expected: `"${value}", or leave it out`,
      })),
    );
  }
  if (input.kind === 'openapi') {
    const imported = importOpenApi(input.document, { ...input.overrides, ...identity });
    return { made: imported.definition, report: imported.report };
  }
  const parsed = definition.safeParse({ ...input.definition, ...identity });
  if (!parsed.success) throw invalid(faultsOf(parsed.error, 'definition'));
  return { made: parsed.data, report: null };
}

function canonicalBytes(made: Definition, at: string): Buffer {
  const broken = illFormed(made, at.slice(0, -1));
  if (broken !== null)
    throw invalid([{ field: broken, problem: 'has half of a surrogate pair, which UTF-8 cannot hold' }]);
  const bytes = Buffer.from(canonicalJson(made), 'utf8');
  if (bytes.length > LIMITS.valueBytes) {
    throw invalid([
      {
        field: at.slice(0, -1) || '(whole)',
        problem: `has ${bytes.length} bytes as canonical JSON`,
        expected: `at most ${LIMITS.valueBytes}; make several APIs of it`,
      },
    ]);
  }
  return bytes;
}

/** The path of a text that is no Unicode; null if there is none. */
function illFormed(value: unknown, path: string): string | null {
  if (typeof value === 'string') return value.isWellFormed() ? null : path;
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, member] of Object.entries(value)) {
    const found = illFormed(member, Array.isArray(value) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`);
    if (found !== null) return found;
  }
  return null;
}

function invalid(fields: FieldFault[]): HelioError {
  const more = fields.length > 1 ? ` (and ${fields.length - 1} more, see errors)` : '';
  return fail('definition_invalid', `${fields[0]?.field}: ${fields[0]?.problem}${more}`, { fields });
}
