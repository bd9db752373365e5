import { sleep } from '#platform';
import { type MasterApi, MasterError } from '../master-api.js';
import { ENDED, type Promotion } from './promote.js';

const LOOK_MS = 200;
/** Longer than any demo takes: something is wrong then, and nobody may be there to see it. */
const ENDS_WITHIN_MS = 120_000;
/** A master that was killed is back long before. */
const AWAY_MS = 60_000;

/**
 * Follows a promotion to its end. One that does not end in time, or that nobody wants any more, is aborted. A master that is
 * away is waited for: promotions go on where they were.
 *
 * @param seen of each look; null: the master does not answer
 * @throws Error when the master stays away
 */
export async function follow(
  api: MasterApi,
  id: string,
  seen: (promotion: Promotion | null) => void,
  interrupted: AbortSignal,
): Promise<Promotion> {
  const began = Date.now();
  let answered = began;
  let aborted = false;
  for (;;) {
    try {
      const late = Date.now() - began > ENDS_WITHIN_MS;
      if (!aborted && (late || interrupted.aborted)) {
        await abort(api, id, late ? `not at its end after ${ENDS_WITHIN_MS / 1000} s` : 'npm run demo was ended');
        aborted = true;
      }
      const promotion = await api.get<Promotion>(`/promotions/${id}`);
      answered = Date.now();
      seen(promotion);
      if (ENDED.has(promotion.state)) return promotion;
    } catch (error) {
      if (error instanceof MasterError && error.status < 500) throw error;
      if (Date.now() - answered > AWAY_MS)
        throw new Error(`the master has not answered for ${AWAY_MS / 1000} s: ${(error as Error).message}`, {
          cause: error,
        });
      seen(null);
    }
    await sleep(LOOK_MS);
  }
}

/** One that has ended meanwhile is none to abort. */
async function abort(api: MasterApi, id: string, reason: string): Promise<void> {
  try {
    await api.write('POST', `/promotions/${id}/abort`, { reason });
  } catch (error) {
    if (!(error instanceof MasterError) || error.code !== 'promotion_state') throw error;
  }
}
