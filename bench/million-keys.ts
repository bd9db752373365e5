import { TrustedKeys, verifyRevision } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { StateStore } from '../apps/replica/src/state/state-store.js';
import { applicationOp, definitionOf, keyOp, placed } from '../apps/replica/src/testing/gateway-ops.js';
import { planOp } from '../apps/replica/src/testing/sample-ops.js';

const REVISION_KEYS = 10_000;

export const keyOf = (number: number): string => `hg_live_${number}`;

/**
 * Fills an empty state as a replica would, revision by revision.
 *
 * @param upstream URL that `GET /weather/v1/today` goes to
 * @returns the public key that the chain is signed with
 */
export async function makeState(stateDir: string, keys: number, upstream: string): Promise<string> {
  const chain = new ChainMaker();
  const trusted = new TrustedKeys([chain.signer.publicKey]);
  const state = StateStore.open(stateDir, 'prod');
  const apply = (...ops: Parameters<ChainMaker['seal']>[0]) =>
    state.apply(verifyRevision(chain.seal(ops).bytes, state.chainPosition, trusted), Date.now());
  await apply(
    ...placed(definitionOf({ upstream: { targets: [{ url: upstream }] } })),
    planOp('gold'),
    applicationOp({ 'weather:v1': 'gold' }),
  );
  for (let from = 0; from < keys; from += REVISION_KEYS) {
    const count = Math.min(REVISION_KEYS, keys - from);
    await apply(...Array.from({ length: count }, (_, i) => keyOp(keyOf(from + i))));
  }
  await state.close();
  return chain.signer.publicKey;
}
