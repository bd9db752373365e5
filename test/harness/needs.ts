import { describe, expect, it } from 'vitest';
import { type Need, whyMissing } from './services.js';

declare module 'vitest' {
  interface TaskMeta {
    /** Why a suite could not run on this machine; the reporter lists it under "Not run here". */
    notRun?: string;
  }
}

/**
 * A suite that needs a real service. Where the service cannot be had the suite is skipped and the run says why;
 * with `CI=true` it fails instead, because a build server that quietly tests less is worse than a red one.
 */
export function describeWith(need: Need, name: string, suite: () => void): void {
  const missing = whyMissing(need);
  if (missing === undefined) {
    describe(name, suite);
  } else if (process.env.CI === 'true') {
    describe(name, () => {
      it(`has ${need} to run with`, () => expect.fail(missing));
    });
  } else {
    describe(name, { skip: true, meta: { notRun: missing } }, suite);
  }
}
