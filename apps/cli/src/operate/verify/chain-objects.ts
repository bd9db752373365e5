import { type ArtifactReader, type ArtifactStore, deltaName, LIMITS, MAX_HEADER_BYTES } from '#artifacts';

/** Revisions that are asked for ahead: enough to hide the way to a store, and at their largest what memory allows. */
const AHEAD = 8;
/** of one listing */
const PAGE = 1_000;
const MAX_DELTA = LIMITS.bodyBytes + MAX_HEADER_BYTES;

/** The bytes of revisions, one after the other; null for one that is not there. */
export async function* revisionsOf(
  reader: ArtifactReader,
  environment: string,
  first: number,
  last: number,
  signal: AbortSignal,
): AsyncGenerator<{ revision: number; name: string; read: () => Promise<Buffer | null> }> {
  const asked: { revision: number; name: string; answer: Promise<Buffer | null> }[] = [];
  for (let next = first; next <= last || asked.length > 0; ) {
    while (next <= last && asked.length < AHEAD) {
      const name = deltaName(environment, next);
      const answer = reader.get(name, MAX_DELTA, signal).then((object) => object?.bytes ?? null);
      answer.catch(() => undefined); // told when it is its turn
      asked.push({ revision: next, name, answer });
      next += 1;
    }
    const one = asked.shift();
    if (one) yield { revision: one.revision, name: one.name, read: () => one.answer };
  }
}

/** The number of the first revision that a store has; null: it has none. */
export async function firstRevision(
  store: ArtifactStore,
  environment: string,
  signal: AbortSignal,
): Promise<number | null> {
  for await (const { number } of numbersIn(store, `${environment}/delta`, signal)) return number;
  return null;
}

/** Names of a folder's objects in their order. */
export async function* namesIn(
  store: ArtifactStore,
  folder: string,
  signal: AbortSignal,
  after = '',
): AsyncGenerator<string> {
  // a directory is read whole for each page, a bucket page by page in any case
  const limit = store.description.startsWith('file:') ? Number.MAX_SAFE_INTEGER : PAGE;
  for (let last = after; ; ) {
    const page = await store.list(folder, last, limit, signal);
    yield* page;
    if (page.length < limit) return;
    last = page.at(-1) ?? '';
  }
}

/** As `namesIn`, of a folder whose objects are numbered. What else lies there is nobody's. */
export async function* numbersIn(
  store: ArtifactStore,
  folder: string,
  signal: AbortSignal,
  after = '',
): AsyncGenerator<{ name: string; number: number }> {
  for await (const name of namesIn(store, folder, signal, after)) {
    const number = numberOf(name);
    if (number !== null) yield { name, number };
  }
}

/** As the chain names them. "-5", "1e2" and "7" are nobody's, and neither is the revision 0. */
function numberOf(name: string): number | null {
  const [, folder, digits] = /(delta|snapshot|segment\/\d)\/(\d{12})$/.exec(name) ?? [];
  const number = Number(digits);
  return digits === undefined || (number === 0 && !folder?.startsWith('segment')) ? null : number;
}
