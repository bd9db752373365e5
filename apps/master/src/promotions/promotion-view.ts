import type { PromotionRow } from './promotion-row.js';
import type { PromotionView } from './promotions.endpoints.js';

/** @param detail what it waits for where that is neither people nor nothing; null: it was not looked at */
export function viewOf(row: PromotionRow, detail: string | null): PromotionView {
  return {
    id: row.id,
    kind: row.kind,
    to: row.environment,
    releases: row.releases,
    state: row.state,
    wave: row.wave,
    waves: row.waves,
    gates: row.gates,
    approvals: { needed: row.approvals, by: row.approvedBy },
    skip: row.skip,
    reason: row.reason,
    because: row.because && { ...row.because, finding: row.because.finding && { ...row.because.finding } },
    waitsFor: waitText(row, detail),
    requestedBy: row.requestedBy,
    createdAt: row.createdAt.toISOString(),
    since: row.stateSince.toISOString(),
  };
}

function waitText({ state, approvals, approvedBy }: PromotionRow, detail: string | null): string | null {
  if (state === 'requested') return `${approvedBy.length} of ${approvals} approvals`;
  return state === 'paused' ? 'somebody who resumes or aborts it' : detail;
}
