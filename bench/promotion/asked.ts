import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnexpectedAnswer } from '#harness';
import type { Published, PromotionWorld } from './world.js';

/** What is asked for, and what becomes of it without any kill. */
export const KINDS = ['good', 'good, by its numbers', 'answers 500', 'aborted', 'release set'] as const;
export type Kind = (typeof KINDS)[number];

export interface Promotion {
  id: string;
  kind: Kind;
  apis: Published[];
  /** whether the abort was answered, or came too late */
  aborted: boolean;
}

export const WAVES = [['eu-west'], ['us-east', 'ap-south']] as const;
/** So long that each of two waves still soaks when the last kill has come. */
export const SOAK_SECONDS = 4;
const AGAIN_MS = 250;

export async function ask(world: PromotionWorld, kind: Kind, apis: Published[]): Promise<Promotion> {
  const releases = apis.map(({ api, second }) => ({ api, release: second }));
  const byNumbers = kind === 'answers 500' || kind === 'good, by its numbers';
  // processes that are killed and started again by the dozen make everything slow: that is not the release's fault
  const gates = { minRequests: byNumbers ? 20 : 0, p95Factor: 1000 };
  const strategy = { waves: WAVES, soak: SOAK_SECONDS, gates };
  const { id } = await insist(world, '/v1/promotions', { releases, to: 'prod', strategy });
  return { id, kind, apis, aborted: false };
}

export async function abort(world: PromotionWorld, promotion: Promotion): Promise<void> {
  const path = `/v1/promotions/${promotion.id}/abort`;
  const body = await insist(world, path, { reason: 'bench' });
  promotion.aborted = body !== null;
}

export async function rollBack(world: PromotionWorld, { id }: Promotion): Promise<void> {
  await insist(world, `/v1/promotions/${id}/rollback`, { reason: 'bench' });
}

/** Until it is answered, as a client has to; the key makes twice once. Null: it is too late for it. */
// bodies of several shapes
// oxlint-disable-next-line typescript/no-explicit-any
async function insist(world: PromotionWorld, path: string, body: unknown): Promise<any> {
  const headers = { 'idempotency-key': randomUUID() };
  for (;;) {
    try {
      return (await world.master.client.post(path, body, { headers })).body;
    } catch (error) {
      if (error instanceof UnexpectedAnswer && error.answer.status < 500) {
        if (error.problem.code === 'promotion_state') return null;
        if (error.answer.status !== 409) throw error; // 409: the one before is still at work
      }
      await sleep(AGAIN_MS);
    }
  }
}
