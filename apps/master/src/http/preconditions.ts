import { fail } from '#model';
import type { Caller } from './request.js';

/**
 * Guards an update against a lost one: the caller has to have seen the state that it changes.
 *
 * @param current the item's ETag now
 * @throws HelioError `precondition_required`, `precondition_failed`
 */
export function requireMatch(caller: Caller, current: string): void {
  if (caller.ifMatch === null)
    throw fail('precondition_required', `send If-Match: "${current}", the ETag of the item as you have read it`);
  matchIfGiven(caller, current);
}

/** For what may also be done unseen, such as a delete. */
export function matchIfGiven(caller: Caller, current: string): void {
  if (caller.ifMatch !== null && caller.ifMatch !== '*' && caller.ifMatch !== current) {
    throw fail(
      'precondition_failed',
      `If-Match names "${caller.ifMatch.slice(0, 100)}", but the item is now at "${current}"`,
      { headers: { etag: `"${current}"` } },
    );
  }
}
