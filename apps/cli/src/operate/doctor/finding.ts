/** One thing that was looked at. */
export interface Finding {
  /** what it is about: `master https://...`, `replica eu-west-1` */
  subject: string;
  check: string;
  level: 'ok' | 'warning' | 'fault';
  /** what was seen */
  found: string;
  /** why it matters; of what is not well */
  matters?: string;
  /** what to do */
  next?: string;
}

export type Look = Omit<Finding, 'subject'>;

export const fine = (check: string, found: string): Look => ({ check, level: 'ok', found });
export const warning = (check: string, found: string, matters: string, next: string): Look => ({
  check,
  level: 'warning',
  found,
  matters,
  next,
});
export const fault = (check: string, found: string, matters: string, next: string): Look => ({
  ...warning(check, found, matters, next),
  level: 'fault',
});

/** Clocks that are further apart make what is fresh look old, and tokens that are good look as if they had expired. */
const SKEW_MS = { warning: 2_000, fault: 30_000 };

/** @param skewMs how much another machine's clock is ahead of this one; its header has whole seconds only */
export function lookAtClock(skewMs: number | null): Look | null {
  if (skewMs === null) return null;
  const apart = Math.abs(skewMs);
  const found = `its clock is ${(apart / 1000).toFixed(1)} s ${skewMs > 0 ? 'ahead of' : 'behind'} that of this machine`;
  if (apart <= SKEW_MS.warning) return fine('clock', 'it agrees with that of this machine');
  const level = apart > SKEW_MS.fault ? fault : warning;
  return level(
    'clock',
    found,
    'Heads are fresh for 90 s and tokens for their lifetime by the clock of each replica.',
    'Find out which of the two is wrong, and let NTP run there.',
  );
}
