import type { SystemStatus } from '../status-screen.js';
import { fault, type Finding, fine, type Look, warning } from './finding.js';

type Replica = SystemStatus['environments'][number]['regions'][number]['replicas'][number];

/** Replicas report every 5 s. */
const SILENT_SECONDS = { warning: 10, fault: 30 };
/** A replica on the stream is behind for milliseconds. */
const BEHIND_MS = 10_000;
const ON_ITS_MACHINE = 'Run `helio doctor --replica <admin port> --state-dir <directory>` on its machine.';

/** All replicas, as a master sees them. */
export function looksAtFleet({ environments }: SystemStatus): Finding[] {
  return environments.flatMap(({ id: environment, regions }) =>
    regions.flatMap(({ id, replicas }): Finding[] =>
      replicas.length === 0
        ? [{ subject: `region ${id}`, ...noReplica(environment) }]
        : replicas.flatMap((one) => looksAtReplica(one).map((look) => ({ subject: `replica ${one.id}`, ...look }))),
    ),
  );
}

function noReplica(environment: string): Look {
  return warning(
    'replicas',
    `it has none, in ${environment}`,
    'No master knows of anybody who serves there. A replica that was removed goes on with what it has until it is stopped.',
    'Make a join token, and start one; or stop what is left there, and delete the region.',
  );
}

function looksAtReplica(replica: Replica): Look[] {
  const { silentForSeconds, state, behind, behindMs, nacks, rootMatches, freshness, lastError, revision } = replica;
  const why = lastError ? `: ${lastError.code}, ${lastError.detail}` : '';
  if (silentForSeconds === null || silentForSeconds > SILENT_SECONDS.fault) {
    const found =
      silentForSeconds === null
        ? 'it never said anything'
        : `nothing was heard of it for ${Math.round(silentForSeconds)} s`;
    return [
      fault(
        'heard',
        `${found}${why}`,
        'It may serve all the same, what it had; promotions wait for it.',
        `${ON_ITS_MACHINE} If it has gone for good, remove it: helio replica delete.`,
      ),
    ];
  }
  const looks: Look[] = [];
  if (silentForSeconds > SILENT_SECONDS.warning)
    looks.push(
      warning(
        'heard',
        `nothing was heard of it for ${Math.round(silentForSeconds)} s; it was ${state ?? '-'} then`,
        'What is told of it here may be true no more: it says something every 5 s.',
        'Look again in half a minute.',
      ),
    );
  if (rootMatches === false)
    looks.push(
      fault(
        'root',
        `its state is not the one of revision ${revision}`,
        'It may answer requests otherwise than it should.',
        'Keep its state directory for a look, and start it on an empty one.',
      ),
    );
  if (state === 'halted')
    looks.push(
      fault(
        'sync',
        `it has stopped following${why}`,
        'It serves what it has, and nothing new comes, revocations neither.',
        ON_ITS_MACHINE,
      ),
    );
  if (nacks > 0)
    looks.push(
      fault(
        'entries',
        `it cannot use ${nacks} of them`,
        'What was there before serves on, or nothing.',
        `\`helio replica get ${replica.id} -o json\` names them.`,
      ),
    );
  if ((behind ?? 0) > 0 && (behindMs ?? 0) > BEHIND_MS)
    looks.push(
      warning(
        'behind',
        `${behind} revisions, for ${((behindMs ?? 0) / 1000).toFixed(0)} s${why}`,
        'It serves what was true then.',
        ON_ITS_MACHINE,
      ),
    );
  if (freshness === 'stale')
    looks.push(
      warning(
        'freshness',
        'it has seen no head that is still fresh',
        'APIs with maxStaleness "refuse" begin to refuse there.',
        ON_ITS_MACHINE,
      ),
    );
  return looks.length > 0 ? looks : [fine('replica', `${state ?? '-'} at revision ${revision ?? '-'}`)];
}
