import type { Logger } from '#platform';
import type { PromotionView } from './promotions.endpoints.js';

/** One line for each state that a promotion comes into. To be called after its commit. */
export function logPromotion(log: Logger, { id, to, state, wave, because, releases }: PromotionView): void {
  const why = because ? { gate: because.gate, cause: because.detail } : {};
  const fields = { promotion: id, to, state, wave, apis: releases.map(({ api }) => api), ...why };
  if (state === 'rolling-back') log.warn(fields, 'a release goes back');
  else log.info(fields, `a promotion is ${state}`);
}
