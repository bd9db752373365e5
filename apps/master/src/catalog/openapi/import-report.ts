import { z } from 'zod';
import { type Place, placeText } from './place.js';

const MAX_EXAMPLES = 3;
const MAX_LISTED = 100;

/** Things of one kind, with the places of the first three. */
const note = z.strictObject({
  what: z.string(),
  count: z.int().min(1),
  where: z.array(z.string()).max(MAX_EXAMPLES),
  why: z.string(),
});

const widening = z.strictObject({ where: z.string(), path: z.string(), why: z.string() });
const merger = z.strictObject({ where: z.string(), into: z.string(), route: z.string() });

/** What an import made of a document. Its size has a bound whatever the document's size is. */
export const importReport = z.strictObject({
  /** version of OpenAPI that the document says */
  openapi: z.string(),
  title: z.string(),
  operations: z.int().min(1),
  /** fewer than `operations` when some were merged */
  routes: z.int().min(1),
  /** what of the document went where in the definition */
  used: z.array(z.strictObject({ where: z.string(), as: z.string(), count: z.int().min(1) })),
  /** what of the document has no effect on the gateway */
  notUsed: z.array(note),
  /** paths whose route takes more than the document says; the first 100 */
  widened: z.strictObject({ count: z.int().min(0), first: z.array(widening).max(MAX_LISTED) }),
  /** operations that share the route of another one; the first 100 */
  merged: z.strictObject({ count: z.int().min(0), first: z.array(merger).max(MAX_LISTED) }),
  /** what the publisher should look at */
  warnings: z.array(note),
});
export type ImportReport = z.infer<typeof importReport>;
type Note = z.infer<typeof note>;

/** Counts things by kind, so that a report of a million of them is as short as one of three. */
export class Tally<Kind extends string> {
  private readonly found = new Map<Kind, { count: number; where: string[] }>();

  /** @param kinds why it matters or has no effect, by kind; the report has this order */
  constructor(private readonly kinds: Readonly<Record<Kind, string>>) {}

  add(kind: Kind, place: Place, remark = ''): void {
    let entry = this.found.get(kind);
    if (entry === undefined) this.found.set(kind, (entry = { count: 0, where: [] }));
    entry.count += 1;
    if (entry.where.length < MAX_EXAMPLES) entry.where.push(placeText(place) + remark);
  }

  notes(): Note[] {
    return (Object.entries(this.kinds) as [Kind, string][]).flatMap(([what, why]) => {
      const entry = this.found.get(what);
      return entry ? [{ what, ...entry, why }] : [];
    });
  }
}

/** The first hundred of a list, and how many there are. */
export class Listing<Item> {
  private readonly first: Item[] = [];
  private count = 0;

  add(item: Item): void {
    this.count += 1;
    if (this.first.length < MAX_LISTED) this.first.push(item);
  }

  summary(): { count: number; first: Item[] } {
    return { count: this.count, first: this.first };
  }
}
