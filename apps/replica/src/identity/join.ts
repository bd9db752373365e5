import { randomBytes } from 'node:crypto';
import { openStore, type S3Settings, TrustedKeys } from '#artifacts';
import { replicaId } from '#model';
import { backoffMs, type Logger, sleep } from '#platform';
import { type JoinAnswer, type MasterClient, MasterError } from '../master/master-client.js';
import { type Identity, writeIdentity } from './identity.js';

export interface JoinOptions {
  master: MasterClient;
  joinToken: string;
  environment: string;
  region: string;
  replica: string | null;
  s3: S3Settings | undefined;
  stateDir: string;
  log: Logger;
  /** why it has not joined yet, for the status */
  onFault: (fault: { code: string; detail: string }) => void;
}

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** What only people can put right is still asked for: they may have done so on the master. */
const REFUSED_RETRY_MS = 60_000;

/** A name for a replica that nobody gave one. */
export function newReplicaId(region: string): string {
  return `${region}-${randomBytes(4).toString('hex')}`;
}

/**
 * Joins a region, however long it takes; the identity is on the disk when it resolves.
 *
 * @returns null when the signal fired first
 */
export async function joinRegion(options: JoinOptions, signal: AbortSignal): Promise<Identity | null> {
  let told = '';
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const identity = await joinOnce(options, signal);
      options.log.info({ replica: identity.replica }, 'joined the region');
      return identity;
    } catch (error) {
      if (signal.aborted) return null;
      const { code, detail, passes } = faultOf(error);
      options.onFault({ code, detail });
      const news = passes ? 'could not join yet' : 'the master refuses the join; it is asked again once a minute';
      if (code !== told) options.log.warn({ code, detail }, news);
      told = code;
      const ms = passes ? backoffMs(attempt, FIRST_RETRY_MS, MAX_RETRY_MS, Math.random) : REFUSED_RETRY_MS;
      await sleep(ms, signal);
    }
  }
  return null;
}

async function joinOnce(options: JoinOptions, signal: AbortSignal): Promise<Identity> {
  const { environment, joinToken: token, master, region, replica, stateDir } = options;
  const answer = await master.join({ token, environment, region, ...(replica === null ? {} : { replica }) }, signal);
  check(answer, options);
  const { store, token: own, trustedKeys } = answer;
  const identity: Identity = {
    version: 1,
    environment,
    region,
    replica: answer.replica,
    joined: { token: own, trustedKeys, store },
  };
  writeIdentity(stateDir, identity);
  return identity;
}

/** What is kept is what every later start lives from: it has to be usable, and what was asked for. */
function check(answer: JoinAnswer, { environment, region, s3 }: JoinOptions): void {
  const invalid = (detail: string): MasterError =>
    new MasterError('master_answer_invalid', `the master's answer to the join: ${detail}`);
  if (answer.environment !== environment) throw invalid(`environment is ${answer.environment} and not ${environment}`);
  if (answer.region !== region) throw invalid(`region is ${answer.region} and not ${region}`);
  if (!replicaId.safeParse(answer.replica).success) throw invalid('replica is not an id');
  try {
    new TrustedKeys(answer.trustedKeys);
    openStore(answer.store, { s3 });
  } catch (error) {
    throw invalid((error as Error).message);
  }
}

function faultOf(error: unknown): { code: string; detail: string; passes: boolean } {
  if (error instanceof MasterError) return { code: error.code, detail: error.message, passes: error.passes };
  return {
    code: 'state_write_failed',
    detail: `the identity could not be kept: ${(error as Error).message}`,
    passes: true,
  };
}
