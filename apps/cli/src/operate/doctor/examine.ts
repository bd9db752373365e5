import {
  type ArtifactReader,
  deltaName,
  FormatError,
  type Head,
  headName,
  LIMITS,
  snapshotName,
  StoreError,
  TrustedKeys,
  verifyHead,
} from '#artifacts';
import { VERSION } from '../../version.js';
import { ANYBODY } from '../verify/key-ring.js';
import { type Asked, ask, jsonOf } from './ask.js';
import type { Finding, Look } from './finding.js';
import { looksAtMaster, readyAnswer } from './master-looks.js';
import { looksAtNode, nodeStatus } from './replica-looks.js';
import { looksAtStore, type StoreFacts } from './store-looks.js';

const of = (subject: string, looks: readonly Look[]): Finding[] => looks.map((look) => ({ subject, ...look }));

/** A master, by what everybody may ask of it. */
export async function examineMaster(url: string): Promise<Finding[]> {
  const nobody = { ready: null, answerMs: 0, skewMs: null, version: VERSION };
  try {
    const { text, ms, skewMs, status } = await ask(`${url}/readyz`);
    const parsed = readyAnswer.safeParse(jsonOf(text));
    const reason = `${url}/readyz answers ${status}, and not as a master does`;
    const facts = { ...nobody, reason, answerMs: ms, skewMs };
    return of(`master ${url}`, looksAtMaster({ ...facts, ready: parsed.success ? parsed.data : null }));
  } catch (error) {
    return of(`master ${url}`, looksAtMaster({ ...nobody, reason: (error as Error).message }));
  }
}

/** A replica, by its admin port alone. */
export async function examineNode(url: string): Promise<Finding[]> {
  const nobody = { status: null, notReady: null, skewMs: null, redisAsked: 0 };
  let told: Asked;
  try {
    told = await ask(`${url}/status`);
  } catch (error) {
    return of(`replica ${url}`, looksAtNode({ ...nobody, reason: (error as Error).message }, Date.now()));
  }
  const parsed = nodeStatus.safeParse(jsonOf(told.text));
  if (!parsed.success) {
    const reason = `${url}/status answers ${told.status}, and not as a replica does`;
    return of(`replica ${url}`, looksAtNode({ ...nobody, reason }, Date.now()));
  }
  const [ready, metrics] = await Promise.all([ask(`${url}/readyz`).catch(asText), ask(`${url}/metrics`).catch(asText)]);
  const detail = (jsonOf(ready.text) as { detail?: unknown } | null)?.detail;
  const notReady = ready.status === 200 ? null : typeof detail === 'string' ? detail : ready.text;
  const facts = {
    status: parsed.data,
    reason: '',
    notReady,
    skewMs: told.skewMs,
    redisAsked: redisAsked(metrics.text),
  };
  return of(`replica ${parsed.data.replica}`, looksAtNode(facts, Date.now()));
}

/**
 * The heads of a store, and that what they name is there.
 *
 * @param environments what of it
 * @param asOfJoin whether the keys are those that a replica was told when it joined: the chain may have named others since
 */
export async function examineStore(
  reader: ArtifactReader,
  environments: readonly string[],
  trustedKeys: readonly string[] | null,
  { asOfJoin = false } = {},
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const environment of environments) {
    const facts = {
      environment,
      unreadable: null,
      head: null,
      headFault: null,
      signed: trustedKeys === null ? 'unchecked' : 'rightly',
      missing: [],
    } satisfies StoreFacts;
    let looks: Look[];
    try {
      let found: Partial<StoreFacts> & Pick<StoreFacts, 'head'> = await headOf(reader, environment, trustedKeys);
      if (asOfJoin && found.headFault?.startsWith('untrusted_key'))
        found = { ...(await headOf(reader, environment, null)), signed: 'later' };
      const missing = found.head ? await missingOf(reader, found.head) : [];
      looks = looksAtStore({ ...facts, ...found, missing }, Date.now());
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      looks = looksAtStore({ ...facts, unreadable: error.message }, Date.now());
    }
    findings.push(...of(`store ${reader.description}`, looks));
  }
  return findings;
}

async function headOf(
  reader: ArtifactReader,
  environment: string,
  trustedKeys: readonly string[] | null,
): Promise<{ head: Head | null; headFault: string | null }> {
  const object = await reader.get(headName(environment), LIMITS.headBytes);
  if (!object) return { head: null, headFault: null };
  try {
    const trusted = trustedKeys ? new TrustedKeys(trustedKeys) : ANYBODY;
    return { head: verifyHead(object.bytes, environment, trusted), headFault: null };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { head: null, headFault: `${error.code}: ${error.message}` };
  }
}

/** Of what every reader needs: the newest revision, and the snapshot that a new one begins with. */
async function missingOf(reader: ArtifactReader, { environment, revision, snapshot }: Head): Promise<string[]> {
  const names = [
    ...(revision > (snapshot?.revision ?? 0) ? [deltaName(environment, revision)] : []),
    ...(snapshot ? [snapshotName(environment, snapshot.revision)] : []),
  ];
  const sizes = await Promise.all(names.map((name) => reader.size(name)));
  return names.filter((_, at) => sizes[at] === null);
}

function redisAsked(metrics: string): number {
  const counts = metrics.matchAll(
    /^heliograph_throttle_takes_total\{[^}]*result="(?:failed|late|shared)"[^}]*\} (\d+)/gm,
  );
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

function asText(error: unknown): { status: number; text: string } {
  return { status: 0, text: (error as Error).message };
}
