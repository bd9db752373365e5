import type { EventView } from './event-kinds.js';

export interface EventRow {
  id: string;
  type: string;
  subject: string;
  environment: string | null;
  actor: string;
  at: Date;
  data: EventView['data'];
}

/** The columns of `event e` as an EventRow. */
export const EVENT_COLUMNS = 'e.id, e.type, e.subject, e.environment_id AS environment, e.actor, e.at, e.data';

export function eventViewOf({ id, type, at, subject, environment, actor, data }: EventRow): EventView {
  return { id, type, timestamp: at.toISOString(), subject, environment, actor, data };
}
