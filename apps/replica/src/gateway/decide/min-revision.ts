import type { CompiledState } from './compile/compiled-state.js';

const PATTERN = /^([a-z][a-z0-9-]{0,31})@([0-9]{1,15})$/;

export type MinRevision = { kind: 'met' } | { kind: 'behind'; detail: string } | { kind: 'malformed'; detail: string };

const MET: MinRevision = { kind: 'met' };

/** Whether the loaded state is as new as `Heliograph-Min-Revision: prod@184` asks. */
export function minRevision(given: readonly string[], state: CompiledState): MinRevision {
  if (given.length === 0) return MET;
  const match = given.length === 1 ? PATTERN.exec(given[0] as string) : null;
  if (!match) return { kind: 'malformed', detail: 'Heliograph-Min-Revision must be one value like prod@184' };
  const [, environment, revision] = match;
  if (environment !== state.environment && state.revision > 0) {
    return {
      kind: 'malformed',
      detail: `Heliograph-Min-Revision names the environment ${environment}; this region belongs to ${state.environment}`,
    };
  }
  if (Number(revision) <= state.revision) return MET;
  return { kind: 'behind', detail: `revision ${state.revision} is loaded here, ${revision} is asked for` };
}
