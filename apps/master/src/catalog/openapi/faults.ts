import type { FieldFault } from '#platform';
import { fail, type HelioError } from '#model';
import { type Place, placeText } from './place.js';

/** As many as a problem document names. */
const MAX_FAULTS = 50;

/** What is wrong with a document, gathered so that the publisher sees all of it at once. */
export class Faults {
  private readonly first: { place: Place; problem: string; expected?: string }[] = [];
  private count = 0;

  add(place: Place, problem: string, expected?: string): void {
    this.count += 1;
    if (this.first.length < MAX_FAULTS) this.first.push({ place, problem, expected });
  }

  get none(): boolean {
    return this.count === 0;
  }

  /** @param linesOf the lines of places in the text that the document was read from */
  throwIfAny(linesOf: (places: Place[]) => (number | undefined)[]): void {
    if (this.count === 0) return;
    const lines = linesOf(this.first.map(({ place }) => place));
    throw invalid(
      this.count === 1 ? 'One thing is wrong with the document.' : `${this.count} things are wrong with the document.`,
      this.first.map(({ place, problem, expected }, index) => {
        const line = lines[index];
        return {
          field: placeText(place),
          problem: line === undefined ? problem : `${problem} (line ${line})`,
          ...(expected !== undefined && { expected }),
        };
      }),
    );
  }
}

export function invalid(detail: string, fields: FieldFault[]): HelioError {
  return fail('openapi_invalid', detail, { fields });
}
