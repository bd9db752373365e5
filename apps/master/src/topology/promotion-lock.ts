import { fail, type HelioError } from '#model';
import type { EntityManager } from 'typeorm';

/** A promotion that is open, and holds an API in an environment. */
export interface PromotionHolder {
  api: string;
  promotion: string;
}

/** The open promotions of these APIs. Whoever holds the lock of the environment's placements sees all there are. */
export function holdersOf(
  manager: EntityManager,
  environment: string,
  apis: readonly string[],
): Promise<PromotionHolder[]> {
  return manager.query(
    `SELECT api_id AS api, promotion_id AS promotion FROM promotion_lock
     WHERE environment_id = $1 AND api_id = ANY($2::text[]) ORDER BY api_id`,
    [environment, apis],
  );
}

/** While a promotion is open it alone places its APIs there. The caller has locked the placements. @throws HelioError `promotion_open` */
export async function refusePromoted(
  manager: EntityManager,
  environment: string,
  apis: readonly string[],
): Promise<void> {
  const [first] = await holdersOf(manager, environment, [...new Set(apis)]);
  if (first) throw promotionOpen(environment, first);
}

export function promotionOpen(environment: string, { api, promotion }: PromotionHolder): HelioError {
  return fail(
    'promotion_open',
    `the promotion ${promotion} of "${api}" in "${environment}" is open; abort it, or wait for its end`,
    { headers: { link: `</v1/promotions/${promotion}>; rel="related"` } },
  );
}
