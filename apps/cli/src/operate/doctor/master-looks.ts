import { z } from 'zod';
import { fault, fine, type Look, lookAtClock, warning } from './finding.js';

/** What `/readyz` says, as far as it is looked at. */
export const readyAnswer = z.object({
  version: z.string(),
  stops: z.boolean(),
  database: z.string(),
  signingKey: z.string(),
  fencedOff: z.array(z.object({ environment: z.string(), detail: z.string() })),
  environments: z.array(
    z.object({
      environment: z.string(),
      leaderInstance: z.string().nullable(),
      revision: z.number(),
      storedRevision: z.number(),
      outbox: z.number(),
      outboxAgeSeconds: z.number(),
      error: z.string().nullable(),
      waitsFor: z.string().nullable(),
      store: z.object({ state: z.string(), error: z.string().nullable() }).nullable(),
    }),
  ),
});
export type ReadyAnswer = z.infer<typeof readyAnswer>;

export interface MasterFacts {
  /** null: it does not answer, for `reason` */
  ready: ReadyAnswer | null;
  reason: string;
  answerMs: number;
  skewMs: number | null;
  /** of this tool */
  version: string;
}

/** Publishing takes well below a second. */
const LATE_SECONDS = { warning: 5, fault: 30 };
/** Revisions that another process's store writer may be behind: it writes many at a time. */
const STORE_BEHIND = 100;

export function looksAtMaster({ ready, reason, answerMs, skewMs, version }: MasterFacts): Look[] {
  if (!ready)
    return [
      fault(
        'reachable',
        `it does not answer: ${reason}`,
        'Nothing can be written. Replicas go on serving what they have, also when they are restarted.',
        'See if its process runs and what its log says; then the address, DNS, and what is in between.',
      ),
    ];
  const clock = lookAtClock(skewMs);
  return [
    fine('reachable', `it answers in ${Math.round(answerMs)} ms`),
    ready.version === version
      ? fine('version', ready.version)
      : warning(
          'version',
          `it is ${ready.version}; this tool is ${version}`,
          'One may not know what the other does.',
          'Take the helio of the same release.',
        ),
    ...(clock ? [clock] : []),
    ...(ready.stops
      ? [
          warning(
            'stops',
            'it was told to stop, and ends what it has under way',
            'It is gone in a moment. Writes go to another master, if there is one; regions serve on.',
            'Nothing, where it is restarted: look again in half a minute. Otherwise its log and its supervisor say who stops it.',
          ),
        ]
      : []),
    ready.database === 'ok'
      ? fine('database', 'it answers')
      : fault(
          'database',
          `PostgreSQL ${ready.database}`,
          'Nothing can be written, and nothing is published.',
          'See if PostgreSQL runs, and if the master reaches it: DATABASE_URL, its connections, its disk.',
        ),
    ...(ready.signingKey === 'ok'
      ? []
      : [
          fault(
            'signing key',
            ready.signingKey,
            'This master must not publish a chain that another key has signed.',
            'Start it with the key that HELIO_SIGNING_KEY named before; docs/running.md, "Signing keys".',
          ),
        ]),
    ...ready.fencedOff.map(({ environment, detail }) =>
      fault(
        `office of ${environment}`,
        detail,
        'Two masters with different databases would make two chains: this one has stopped taking writes.',
        `Decide which one holds, stop the other, then POST /v1/environments/${environment}/office: adopt, or discard-theirs.`,
      ),
    ),
    ...ready.environments.flatMap((one) => [...looksAtPublishing(one), ...looksAtStore(one)]),
  ];
}

type Environment = ReadyAnswer['environments'][number];

function looksAtPublishing({
  environment,
  leaderInstance,
  revision,
  waitsFor,
  error,
  outbox,
  outboxAgeSeconds,
}: Environment): Look[] {
  const check = `publishing of ${environment}`;
  const matters = 'What is written does not reach replicas; revocations neither.';
  if (waitsFor)
    return [
      fault(
        check,
        `it waits for ${waitsFor}`,
        matters,
        `Wait for that, or decide: POST /v1/environments/${environment}/office, proceed.`,
      ),
    ];
  if (leaderInstance === null)
    return [
      fault(
        check,
        'nobody has ever led it',
        matters,
        'See the log of the masters: one of them says why it does not take office.',
      ),
    ];
  if (outboxAgeSeconds > LATE_SECONDS.warning) {
    const level = outboxAgeSeconds > LATE_SECONDS.fault ? fault : warning;
    const why = error ? `: ${error}` : '';
    return [
      level(
        check,
        `${outbox} changes wait, the oldest for ${outboxAgeSeconds.toFixed(1)} s${why}`,
        matters,
        `See the log of the leader, ${leaderInstance}.`,
      ),
    ];
  }
  return [fine(check, `revision ${revision}, led by ${leaderInstance}`)];
}

function looksAtStore({ environment, revision, storedRevision, store }: Environment): Look[] {
  const check = `store of ${environment}`;
  const matters = 'Replicas without a stream, and new ones, get what the store has: they fall behind.';
  if (store?.state === 'conflict')
    return [
      fault(
        check,
        `it holds another chain: ${store.error ?? 'its head says so'}`,
        matters,
        'Find out who else writes there: two masters with different databases must not share a store.',
      ),
    ];
  if (store?.state === 'failing')
    return [
      fault(
        check,
        `it cannot be written: ${store.error ?? 'for a reason that is in the log'}`,
        matters,
        'See if the store is up, has room, and lets this master write; it is filled by itself then.',
      ),
    ];
  if (revision - storedRevision > STORE_BEHIND)
    return [
      warning(
        check,
        `it is ${revision - storedRevision} revisions behind`,
        matters,
        'Look again: it should catch up. If it does not, see the log of the leader.',
      ),
    ];
  return [
    fine(
      check,
      `it has revision ${storedRevision}, as masters remember it: \`helio verify\` looks at the store itself`,
    ),
  ];
}
