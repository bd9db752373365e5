import { setImmediate as breathe } from 'node:timers/promises';
import { apiIdOf, DEFAULT_REGION, HelioError } from '#model';
import { faultsOf } from '#platform';
import { makeRelease, type NewRelease } from '../catalog/make-release.js';
import { inputOf } from '../catalog/release-input.js';
import { type ApplyDocument, type DocumentOf, idOf, isKind, keyOf, type Kind, KINDS, schemaOf } from './documents.js';
import { type Faults, pointerOf } from './faults.js';

/** What things of a kind may be compared by; what nobody says is null. */
export type Fields = Record<string, unknown>;

/** What a document wants. */
export interface Wanted<K extends Kind = Kind> {
  kind: K;
  /** as the database knows it */
  key: string;
  /** as people read it */
  id: string;
  document: DocumentOf<K>;
  /** JSON pointer to the document in the request */
  at: string;
  fields: Fields;
  /** of an API; `from` is where its fields stand in the document: `definition.`, `overrides.` */
  release: (NewRelease & { from: string }) | null;
}

/**
 * Reads what was sent, and tells all that is wrong with it by itself. Lets others go on between documents: thousands of
 * definitions take seconds.
 *
 * @param contextOf of APIs that there are: a document need not say it
 */
export async function readDocuments(
  sent: readonly unknown[],
  contextOf: (apis: string[]) => Promise<Map<string, string>>,
  faults: Faults,
): Promise<Wanted[]> {
  const documents = sent.map((one, index) => ({
    at: `/documents/${index}`,
    document: parse(one, `/documents/${index}`, faults),
  }));
  const apis = documents.flatMap(({ document }) => (document?.kind === 'api' ? [apiIdOf(document)] : []));
  const contexts = await contextOf(apis);
  const wanted = new Map<string, Wanted>();
  for (const { document, at } of documents) {
    if (!document) continue;
    const release = document.kind === 'api' ? await releaseOf(document, contexts, at, faults) : null;
    const one: Wanted = {
      kind: document.kind,
      key: keyOf(document),
      id: idOf(document),
      document,
      at,
      release,
      fields: {},
    };
    one.fields = fieldsOf(one, contexts);
    const name = `${one.kind} ${one.key}`;
    const first = wanted.get(name);
    if (first)
      faults.add(at, `is about the ${one.kind} "${one.id}", as ${first.at} is`, { expected: 'one of the two' });
    else wanted.set(name, one);
  }
  return [...wanted.values()];
}

function parse(sent: unknown, at: string, faults: Faults): ApplyDocument | null {
  const kind = (sent as { kind?: unknown } | null)?.kind;
  if (!isKind(kind)) {
    faults.add(`${at}/kind`, `must be one of ${KINDS.join(', ')}`);
    return null;
  }
  const parsed = schemaOf(kind).safeParse(sent);
  if (parsed.success) return parsed.data;
  for (const { field, problem, expected } of faultsOf(parsed.error))
    faults.add(at + pointerOf(field), problem, { expected });
  return null;
}

async function releaseOf(
  document: DocumentOf<'api'>,
  contexts: Map<string, string>,
  at: string,
  faults: Faults,
): Promise<Wanted['release']> {
  const { name, version } = document;
  const id = apiIdOf(document);
  const input = inputOf(document);
  if (!input) return null;
  await breathe();
  try {
    return { ...makeRelease(input, { id, name, version, context: contextOf(document, contexts) }), from: input.at };
  } catch (error) {
    if (!(error instanceof HelioError)) throw error;
    faults.addError(error, at);
    return null;
  }
}

function contextOf({ name, version, context }: DocumentOf<'api'>, contexts: Map<string, string>): string {
  return context ?? contexts.get(apiIdOf({ name, version })) ?? `/${name}/${version}`;
}

function fieldsOf({ document, release }: Wanted, contexts: Map<string, string>): Fields {
  switch (document.kind) {
    case 'environment':
      return { position: document.position };
    case 'region':
      return { environment: document.environment };
    case 'plan': {
      const { rate, quota, perRoute = null, perApi = null } = document;
      return { rate, quota, perRoute, perApi };
    }
    case 'api': {
      const digest = release?.digest.toString('hex');
      return {
        context: contextOf(document, contexts),
        // without a definition, whichever release there is
        ...(digest === undefined ? {} : { release: digest, serve: servedIn(document, digest) }),
      };
    }
    case 'application': {
      const { name, owner = null, status = 'active' } = document;
      return { name, owner, status };
    }
    case 'subscription':
      return { plan: document.plan };
    case 'promotion-policy':
      return { approvals: document.approvals };
    case 'webhook': {
      // without its secret, which no plan shows: read-found.ts compares that
      const { url, types, environments, description, enabled } = document;
      return { url, types, environments, description, enabled };
    }
  }
}

function servedIn({ serve = {} }: DocumentOf<'api'>, digest: string): Record<string, Record<string, string>> {
  return Object.fromEntries(
    Object.entries(serve).map(([environment, where]) => {
      const regions = where === DEFAULT_REGION ? [where] : where;
      return [environment, Object.fromEntries(regions.map((region) => [region, digest]))];
    }),
  );
}
