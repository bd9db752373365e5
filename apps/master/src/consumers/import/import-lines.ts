import {
  apiId,
  environmentId,
  fail,
  HelioError,
  ipList,
  isWellFormedKey,
  lineOfText,
  planId,
  scopeList,
  secretHash,
} from '#model';
import { faultsOf } from '#platform';
import { z } from 'zod';
import { scopesOf } from '../issue-keys.js';
import { endOf, expiresAt } from '../keys.endpoints.js';
import { stableId } from '../stable-id.js';
import { readKeyHash } from './key-hash.js';

const SHA256 = /^[0-9a-fA-F]{64}$/;
const BYTE_ORDER_MARK = 0xfeff;
/** Bounds the memory of one import, not its lines. */
const MOST_NAMES = 10_000;

const text = lineOfText(200);

const applicationLine = z.strictObject({
  kind: z.literal('application'),
  id: stableId,
  name: text,
  owner: text.nullable().optional(),
});
const subscriptionLine = z.strictObject({
  kind: z.literal('subscription'),
  application: stableId,
  api: apiId,
  plan: planId,
});
const keyLine = z
  .strictObject({
    kind: z.literal('key'),
    application: stableId,
    environment: environmentId,
    sha256: z.string().optional(),
    secret: z
      .string()
      .min(16, 'must have at least 16 characters')
      .max(512, 'must have at most 512 characters')
      .regex(/^[\x21-\x7e]+$/, 'must be printable characters without spaces')
      .optional(),
    name: text.nullable().optional(),
    scopes: scopeList.optional(),
    ips: ipList.optional(),
    expiresAt: expiresAt.optional(),
  })
  .refine((line) => (line.sha256 === undefined) !== (line.secret === undefined), {
    path: ['sha256'],
    message: 'give either sha256 or secret',
  })
  .refine((line) => !line.secret?.startsWith('hg_live_') || isWellFormedKey(line.secret), {
    path: ['secret'],
    message: 'looks like a key of Heliograph, but its checksum is wrong',
  });

const importLine = z.discriminatedUnion('kind', [applicationLine, subscriptionLine, keyLine], {
  error: 'must be an object with kind application, subscription or key',
});

export type ApplicationLine = z.infer<typeof applicationLine>;
export type SubscriptionLine = z.infer<typeof subscriptionLine>;
export interface KeyLine {
  kind: 'key';
  application: string;
  environment: string;
  hash: Buffer;
  name: string | null;
  /** in order; null: the line says none */
  scopes: string[] | null;
  /** null: the line says none */
  ips: string[] | null;
  expiresAt: Date | null;
}
export type ImportLine = ApplicationLine | SubscriptionLine | KeyLine;

export type ParsedLine = { ok: true; line: ImportLine } | { ok: false; error: HelioError };

/** Applications and environments of key lines that were good, as they were written: most lines name one of them again. */
export class KnownNames {
  private readonly applications = new Map<string, string>();
  private readonly environments = new Set<string>();

  /** What `importLine` would make of the line of a key that says nothing but what every key has to; null: it has to be asked. */
  keyOf(json: unknown): KeyLine | null {
    if (typeof json !== 'object' || json === null || Object.keys(json).length !== 4) return null;
    const { kind, application, environment, sha256 } = json as Record<string, unknown>;
    if (kind !== 'key' || typeof sha256 !== 'string' || !SHA256.test(sha256)) return null;
    const id = this.applications.get(application as string);
    if (id === undefined || !this.environments.has(environment as string)) return null;
    return {
      kind,
      application: id,
      environment: environment as string,
      hash: Buffer.from(sha256, 'hex'),
      name: null,
      scopes: null,
      ips: null,
      expiresAt: null,
    };
  }

  /** @param json a line of a key that is good @param application what became of its application's name */
  learn(json: unknown, application: string): void {
    if (this.applications.size >= MOST_NAMES) this.applications.clear();
    const line = json as { application: string; environment: string };
    this.applications.set(line.application, application);
    if (this.environments.size >= MOST_NAMES) this.environments.clear();
    this.environments.add(line.environment);
  }
}

/** Reads one line; a secret is hashed here and goes no further. @param known of the lines of this import so far */
export function parseImportLine(bytes: Buffer, known: KnownNames): ParsedLine {
  let json: unknown;
  try {
    const text = bytes.toString('utf8');
    json = JSON.parse(text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text);
  } catch (error) {
    return {
      ok: false,
      error: fail('malformed_json', `the line is not JSON: ${(error as Error).message.slice(0, 200)}`),
    };
  }
  const key = known.keyOf(json);
  if (key) return { ok: true, line: key };
  const parsed = importLine.safeParse(json);
  if (!parsed.success) {
    const fields = faultsOf(parsed.error);
    return { ok: false, error: fail('invalid_request', `${fields[0]?.field}: ${fields[0]?.problem}`, { fields }) };
  }
  if (parsed.data.kind !== 'key') return { ok: true, line: parsed.data };
  const { sha256 = '', secret, name, scopes, ips, expiresAt: end, ...rest } = parsed.data;
  const hashed = secret === undefined ? readKeyHash(sha256) : secretHash(secret);
  if (hashed instanceof HelioError) return { ok: false, error: hashed };
  known.learn(json, rest.application);
  return {
    ok: true,
    line: {
      ...rest,
      hash: hashed,
      name: name ?? null,
      scopes: scopesOf(scopes),
      ips: ips ?? null,
      expiresAt: end ? endOf(end) : null,
    },
  };
}
