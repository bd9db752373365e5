import type { Faults } from './faults.js';
import type { Asked, PlannedChange, PlannedPlacing, PlannedPlacings } from './planned.js';
import type { Wanted } from './read-documents.js';
import type { Standing } from './read-found.js';

type Served = Record<string, Record<string, string>>;

/** Placements that documents change: those that an API names, and all of one that goes. */
export function planPlacings(
  changes: readonly PlannedChange[],
  wanted: readonly Wanted[],
  standing: Standing,
  asked: Asked,
  faults: Faults,
  refusals: Faults,
): PlannedPlacings {
  const pipeline = pipelineOf(wanted, standing);
  const planned: PlannedPlacings = new Map();
  for (const change of changes) {
    if (change.kind !== 'api') continue;
    const is = (change.found?.fields.serve ?? {}) as Served;
    const shall = (change.wanted?.fields.serve ?? {}) as Served;
    for (const environment of change.wanted ? Object.keys(shall) : Object.keys(is)) {
      const at = change.wanted ? `${change.at}/serve/${environment}` : change.at;
      const placings = placingsOf(change.id, is[environment] ?? {}, shall[environment] ?? {}, at);
      if (!pipeline.has(environment)) faults.add(at, `there is no environment "${environment}"`);
      else if (placings.length > 0) refuseToSkip(environment, pipeline, at, asked, refusals);
      if (placings.length === 0) continue;
      const others = planned.get(environment);
      if (others) others.push(...placings);
      else planned.set(environment, placings);
    }
  }
  return planned;
}

function placingsOf(api: string, is: Served[string], shall: Served[string], at: string): PlannedPlacing[] {
  return [...new Set([...Object.keys(is), ...Object.keys(shall)])].flatMap((region) => {
    const [before, release] = [is[region] ?? null, shall[region] ?? null];
    return before === release ? [] : [{ api, region, before, release, at }];
  });
}

/** The environments that there are and will be, with their positions. */
function pipelineOf(wanted: readonly Wanted[], { environments }: Standing): Map<string, number> {
  const made = wanted.flatMap(({ document }) => (document.kind === 'environment' ? [document] : []));
  return new Map([...made, ...environments].map(({ id, position }) => [id, position]));
}

/** Where an environment comes before, releases come by promotion; past it, an operator places them, and says why. */
function refuseToSkip(
  environment: string,
  pipeline: Map<string, number>,
  at: string,
  { role, reason }: Asked,
  refusals: Faults,
): void {
  const position = pipeline.get(environment) ?? 0;
  const before = [...pipeline].filter(([, other]) => other < position).sort(([, a], [, b]) => b - a)[0]?.[0];
  if (before === undefined) return;
  const problem = `"${environment}" comes after "${before}": what is placed there changes by promotion`;
  if (role !== 'admin' && role !== 'operator')
    refusals.add(at, problem, {
      expected: 'leave it out and promote, or have an operator apply it',
      code: 'forbidden',
    });
  else if (reason === null) refusals.add(at, problem, { expected: 'leave it out and promote, or apply with a reason' });
}
