import { type ReplicaStatus, replicaStatus } from '#model';
import { z } from 'zod';
import { fault, fine, type Look, lookAtClock, warning } from './finding.js';

/** What `/status` of a replica's admin port says, as far as it is looked at. */
export const nodeStatus = replicaStatus.extend({
  workers: z.array(z.object({ name: z.string(), listening: z.boolean(), revision: z.number() })),
  certificates: z.array(
    z.object({ port: z.string(), file: z.string(), notAfter: z.string(), fault: z.string().nullable() }),
  ),
});
type NodeStatus = z.infer<typeof nodeStatus>;

export interface NodeFacts {
  status: NodeStatus | null;
  /** why there is no status */
  reason: string;
  /** why `/readyz` says no; null: it says yes */
  notReady: string | null;
  skewMs: number | null;
  /** questions for tokens that went to Redis, answered or not: above 0 there is one */
  redisAsked: number;
}

const DAY_MS = 86_400_000;
const CERTIFICATE_DAYS = { warning: 14, fault: 3 };
const MOST_NACKS = 5;

/** From its own admin port: nobody else has to be there. @param now milliseconds since 1970 */
export function looksAtNode({ status, reason, notReady, skewMs, redisAsked }: NodeFacts, now: number): Look[] {
  if (!status)
    return [
      fault(
        'admin port',
        `it does not answer: ${reason}`,
        'Whether the gateway serves cannot be seen from here.',
        'See if the replica runs and what its log says; then the address, ADMIN_PORT, and HELIO_ADMIN_BIND.',
      ),
    ];
  const clock = lookAtClock(skewMs);
  return [
    notReady === null
      ? fine('serving', `revision ${status.revision} of ${status.environment} in ${status.region}`)
      : fault(
          'serving',
          notReady,
          'Requests are refused, or no worker takes them.',
          'See what is told below, and the log.',
        ),
    ...looksAtWorkers(status),
    ...looksAtSync(status),
    ...(clock ? [clock] : []),
    ...looksAtLimits(status, redisAsked),
    ...looksAtCertificates(status, now),
  ];
}

function looksAtWorkers({ workers, revision }: NodeStatus): Look[] {
  const silent = workers.filter(({ listening }) => !listening).map(({ name }) => name);
  if (workers.length > 0 && silent.length === 0)
    return [fine('workers', `${workers.length} take connections at revision ${revision}`)];
  const found = workers.length === 0 ? 'there is none' : `${silent.join(', ')} take no connections`;
  return [
    fault(
      'workers',
      found,
      'The others have more to do, or nobody answers.',
      'See the log for why they died; look again: they are replaced.',
    ),
  ];
}

/** What a replica reports, whoever tells it: its admin port, or the master. */
export function looksAtSync(
  status: Pick<ReplicaStatus, 'state' | 'freshness' | 'revision' | 'head' | 'source' | 'nacks' | 'lastError'>,
): Look[] {
  const { state, freshness, revision, head, source, nacks, lastError } = status;
  const why = lastError ? `: ${lastError.code}, ${lastError.detail}` : '';
  const looks: Look[] = [];
  if (state === 'halted')
    looks.push(
      fault(
        'sync',
        `it has stopped following${why}`,
        'It serves what it has, and nothing new comes, revocations neither.',
        'It is for people to decide: docs/running.md has the codes. Its state is not touched.',
      ),
    );
  else if (state === 'isolated')
    looks.push(
      fault(
        'sync',
        `it reaches no source${why}`,
        `It serves revision ${revision} from its disk, for as long as you like; nothing new comes.`,
        'See the network between here, the store, the masters and the peers. It catches up by itself.',
      ),
    );
  else if (lastError?.code === 'master_refused' && state !== 'live')
    looks.push(
      fault(
        'sync',
        `a master does not let it in${why}`,
        'It was most likely removed (`helio replica delete`): it serves what the store says, and no master counts it.',
        'See `helio replica list`. If it is to be there: stop it, empty its state directory, and start it with a new join token. If not: stop it.',
      ),
    );
  else if (state === 'polling' && lastError)
    looks.push(
      warning(
        'sync',
        `it has no stream to a master, and polls the ${source}${why}`,
        'Changes take until the next poll.',
        'If masters are meant to be reached from here, see HELIO_MASTER_URL and the network.',
      ),
    );
  else if (state === 'booting' || state === 'catching-up')
    looks.push(
      warning(
        'sync',
        `it is ${state}: revision ${revision} of ${head}${why}`,
        'Until it is done it serves what it has.',
        'Look again in a while.',
      ),
    );
  else
    looks.push(
      fine('sync', `${state}, from the ${source}${head > revision ? `, ${head - revision} revisions behind` : ''}`),
    );
  if (freshness === 'stale')
    looks.push(
      warning(
        'freshness',
        'no head that is still fresh has been seen',
        'Whether a newer revision exists is not known here; APIs with maxStaleness "refuse" begin to refuse.',
        'See if a master leads the environment, and writes heads to the store.',
      ),
    );
  for (const { table, key, code, detail } of nacks.slice(0, MOST_NACKS))
    looks.push(
      fault(
        'entries',
        `it cannot use the ${table} ${key}: ${code}, ${detail}`,
        'What was there before serves on, or nothing.',
        'Publish what it can use, or bring the replica to the build that can.',
      ),
    );
  if (nacks.length > MOST_NACKS)
    looks.push(
      fault(
        'entries',
        `and ${nacks.length - MOST_NACKS} others`,
        'As above.',
        '`GET /status` of its admin port has them all.',
      ),
    );
  return looks;
}

function looksAtLimits({ throttle }: NodeStatus, redisAsked: number): Look[] {
  if (throttle === 'shared') return [fine('limits', 'counted for the whole region')];
  if (redisAsked === 0) return [fine('limits', 'counted on this node')];
  return [
    warning(
      'limits',
      'counted on this node, as Redis does not answer',
      'Each node spends its share of every limit: docs/limits.md.',
      'See if Redis runs in this region, and how long it takes: REDIS_URL.',
    ),
  ];
}

function looksAtCertificates({ certificates }: NodeStatus, now: number): Look[] {
  return certificates.map(({ port, file, notAfter, fault: problem }) => {
    const check = `certificate ${file}`;
    const days = (Date.parse(notAfter) - now) / DAY_MS;
    const matters = `Clients of the ${port} port refuse a certificate that has ended.`;
    const next = 'Put new files in the place of the old ones: they are read every few seconds.';
    if (problem)
      return fault(check, `its files cannot be used, and what was read before is: ${problem}`, matters, next);
    const found = days < 0 ? `it has ended ${notAfter}` : `it ends ${notAfter}, in ${Math.floor(days)} days`;
    if (days < CERTIFICATE_DAYS.fault) return fault(check, found, matters, next);
    return days < CERTIFICATE_DAYS.warning ? warning(check, found, matters, next) : fine(check, found);
  });
}
