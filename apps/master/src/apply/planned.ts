import type { Wanted } from './read-documents.js';
import type { Found } from './read-found.js';

/** What is asked for beside the documents, and by whom. */
export interface Asked {
  set: string;
  role: string;
  prune: boolean;
  take: boolean;
  /** why placements change past promotions; null: none was given */
  reason: string | null;
}

/** One difference of one thing; what there is nothing of is missing. */
export interface FieldChange {
  path: string;
  before?: unknown;
  after?: unknown;
  large?: true;
  /** it differs, and nobody is shown how */
  secret?: true;
}

export type PlannedChange = {
  kind: Wanted['kind'];
  /** as people read it */
  id: string;
  /** JSON pointer to what asks for it */
  at: string;
  fields: FieldChange[];
} & (
  | { action: 'create'; wanted: Wanted; found: null }
  | { action: 'update' | 'unchanged'; wanted: Wanted; found: Found }
  | { action: 'delete'; wanted: null; found: Found }
);

export interface Plan {
  /** those that are made and changed in the order in which things refer to each other, and then those that go, in the other */
  changes: PlannedChange[];
  placings: PlannedPlacings;
}

/** What an API is to serve in a region instead of what it serves there; digests, null for nothing. */
export interface PlannedPlacing {
  api: string;
  region: string;
  before: string | null;
  release: string | null;
  /** JSON pointer to what asks for it */
  at: string;
}

/** By environment. */
export type PlannedPlacings = Map<string, PlannedPlacing[]>;
