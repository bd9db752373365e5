import { type ErrorCode, fail, HelioError } from '#model';
import type { FieldFault } from '#platform';

/** The codes that an apply is refused with; where there are several, the first of these. */
export const REFUSALS = ['documents_invalid', 'owned_elsewhere', 'forbidden'] as const satisfies readonly ErrorCode[];
type Code = (typeof REFUSALS)[number];
/** A fault, and what an apply is refused with because of it. */
type Refusal = FieldFault & { code: Code };
/** Bounds the answer; nobody reads more at once. */
const MOST = 1000;

/** What is wrong with documents, gathered so that all of it is told at once. */
export class Faults {
  private readonly found: Refusal[] = [];
  private readonly codes = new Set<Code>();
  private count = 0;

  get none(): boolean {
    return this.count === 0;
  }

  /** @param pointer a JSON pointer into the request: `/documents/3/plan` */
  add(pointer: string, problem: string, more: { expected?: string; code?: Code } = {}): void {
    const { expected, code = 'documents_invalid' } = more;
    this.count += 1;
    this.codes.add(code);
    if (this.found.length < MOST)
      this.found.push({ field: pointer, problem, code, ...(expected === undefined ? {} : { expected }) });
  }

  /**
   * Adds what a service found wrong, where that stands in a document; it was found before its statement, and the
   * transaction is still good.
   *
   * @param at of the document
   * @throws what is no such error
   */
  addError(error: unknown, at: string): void {
    if (!(error instanceof HelioError) || error.code === 'internal') throw error;
    if (error.fields.length === 0) this.add(at, error.detail);
    // a place of an OpenAPI document has names of its own
    else if (error.code === 'openapi_invalid')
      for (const { field, problem, expected } of error.fields)
        this.add(`${at}/openapi`, `${field}: ${problem}`, { expected });
    else
      for (const { field, problem, expected } of error.fields) this.add(at + pointerOf(field), problem, { expected });
  }

  /** In the order of the documents. */
  get all(): Refusal[] {
    return this.found.toSorted((a, b) => documentOf(a) - documentOf(b));
  }

  /** @throws HelioError with each of them */
  throwIfAny(): void {
    const code = REFUSALS.find((one) => this.codes.has(one));
    const found = this.all.map(({ code: _, ...fault }) => fault);
    const [first] = found;
    if (!code || !first) return;
    const more = this.count > 1 ? ` (and ${this.count - 1} more, see errors)` : '';
    throw fail(code, `${first.field}: ${first.problem}${more}; nothing was written`, { fields: found });
  }
}

/** Its number; what is no document's comes last. */
function documentOf({ field }: FieldFault): number {
  return Number(/^\/documents\/(\d+)/.exec(field)?.[1] ?? Number.MAX_SAFE_INTEGER);
}

/** `definition.routes[2].path` as a JSON pointer. */
export function pointerOf(field: string): string {
  if (field === '(whole)') return '';
  const parts = field.replaceAll(/\[(\d+)\]/g, '.$1').split('.');
  return parts.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
