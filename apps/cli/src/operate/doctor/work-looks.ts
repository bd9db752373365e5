import type { components } from '../../api/schema.js';
import { ageOf } from '../../resources/columns.js';
import { fault, type Finding, type Look, warning } from './finding.js';

type Schemas = components['schemas'];

export type WebhookFacts = Pick<
  Schemas['Webhook'],
  'id' | 'url' | 'enabled' | 'disabledReason' | 'problem' | 'failures' | 'failingSince' | 'waiting' | 'dead'
>;
export type JobFacts = Pick<Schemas['Job'], 'id' | 'kind' | 'subject' | 'attempts' | 'error'>;
export type PromotionFacts = Pick<Schemas['Promotion'], 'id' | 'to' | 'state' | 'since' | 'waitsFor'>;

const MINUTE_MS = 60_000;
/** A gate that nobody calls is not met by waiting. */
const WAITS_MS = 10 * MINUTE_MS;

/** What a master has to do besides publishing, as far as it does not get on. @param now milliseconds since 1970 */
export function looksAtWork(
  { webhooks, jobs, promotions }: { webhooks: WebhookFacts[]; jobs: JobFacts[]; promotions: PromotionFacts[] },
  now: number,
): Finding[] {
  return [
    ...webhooks.flatMap((one) => about(`webhook ${one.id}`, lookAtWebhook(one, now))),
    ...jobs.flatMap((one) => about(`job ${one.id}`, lookAtJob(one))),
    ...promotions.flatMap((one) => about(`promotion ${one.id}`, lookAtPromotion(one, now))),
  ];
}

const about = (subject: string, look: Look | null): Finding[] => (look ? [{ subject, ...look }] : []);

function lookAtWebhook(
  { id, url, enabled, disabledReason, problem, failures, failingSince, waiting, dead }: WebhookFacts,
  now: number,
): Look | null {
  const get = `\`helio webhook get ${id}\``;
  if (disabledReason !== null)
    return warning(
      'deliveries',
      `${url} was disabled: ${disabledReason}`,
      'Nothing is sent to it.',
      `See ${get}; enable it again, or delete it.`,
    );
  if (!enabled) return null;
  if (problem !== null) return fault('deliveries', `${url}: ${problem}`, 'Nothing can be sent to it.', `See ${get}.`);
  if (failingSince === null || now - Date.parse(failingSince) < MINUTE_MS) return null;
  return warning(
    'deliveries',
    `${url} has taken nothing for ${ageOf(failingSince, now)}: ${failures} failed attempts, ${waiting} events wait, ${dead} were given up`,
    'Whoever is to hear of it there does not; after days of that it is disabled.',
    `\`helio webhook deliveries ${id}\` says what it answered.`,
  );
}

function lookAtJob({ id, kind, subject, attempts, error }: JobFacts): Look {
  return fault(
    'work',
    `${kind} of ${subject} has failed after ${attempts} attempts: ${error ?? 'for a reason that is in the log'}`,
    'It is not tried again by itself.',
    `Mend that, then \`helio job retry ${id}\`.`,
  );
}

function lookAtPromotion({ id, to, state, since, waitsFor }: PromotionFacts, now: number): Look | null {
  if (waitsFor === null || now - Date.parse(since) < WAITS_MS) return null;
  return warning(
    'waits',
    `it is ${state} in ${to} for ${ageOf(since, now)}, and waits for: ${waitsFor}`,
    'Its APIs can be promoted there again only when it has ended.',
    `\`helio promotion get ${id}\`; then skip the gate, roll back, or abort.`,
  );
}
