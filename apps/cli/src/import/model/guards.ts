import type { Part } from '../source/part.js';

/** A scope that nothing ever has: what asks for it lets nobody in, whoever is subscribed. */
export const NOBODY = 'nobody';

const GUARD = 'it kept callers out, or may have, and has no counterpart';

/** @param asked whether a credential is asked for where they stood */
export function reportGuards(guards: readonly Part[], asked: boolean): void {
  for (const guard of guards) {
    if (asked) guard.lost(`${GUARD}; a credential and a subscription are asked for`, 'see whether that is enough');
    else
      guard.closed(
        `${GUARD}: what it guarded asks for the scope \`${NOBODY}\``,
        'choose the security of the routes, and take that scope away',
      );
  }
}
