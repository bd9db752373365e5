import { applicationKeyIn, applicationKeyInClient, encodeText, type Op, TABLE } from '#model';
import { type Entry, idOf } from './entries.js';

/**
 * What a value of a table refers to: key, client -> application, application -> plans, placement -> release, release -> the plan of
 * its open routes.
 * A value that a newer build published, and this one cannot read, refers to nothing that is known here.
 */
export function referencesOf(table: number, value: Buffer): Entry[] {
  try {
    switch (table) {
      case TABLE.key:
        return [{ table: TABLE.application, key: applicationKeyIn(value) }];
      case TABLE.client:
        return [{ table: TABLE.application, key: applicationKeyInClient(value) }];
      case TABLE.application:
        return plansOf(value).map((plan) => ({ table: TABLE.plan, key: encodeText(plan) }));
      case TABLE.placement:
        return [{ table: TABLE.release, key: value }];
      case TABLE.release:
        return openPlanOf(value).map((plan) => ({ table: TABLE.plan, key: encodeText(plan) }));
      default:
        return [];
    }
  } catch {
    return []; // who cannot read it cannot use it either, and follows nothing
  }
}

function plansOf(application: Buffer): string[] {
  const { subscriptions } = JSON.parse(application.toString('utf8')) as { subscriptions: { plan: string }[] };
  return [...new Set(subscriptions.map(({ plan }) => plan))];
}

/** Definitions may have megabytes, and most name no such plan: those are not parsed. */
function openPlanOf(definition: Buffer): string[] {
  if (!definition.includes('"openPlan":')) return [];
  const { openPlan } = JSON.parse(definition.toString('utf8')) as { openPlan?: unknown };
  return typeof openPlan === 'string' ? [openPlan] : [];
}

/** What a change refers to that its entry did not refer to before. */
export function newReferencesOf({ table, value, before }: Op & { before: Buffer | null | undefined }): Entry[] {
  if (value === null) return [];
  if (!before) return referencesOf(table, value);
  const old = new Set(referencesOf(table, before).map(idOf));
  return referencesOf(table, value).filter((reference) => !old.has(idOf(reference)));
}
