import { lineOfText } from '#model';
import { z } from 'zod';
import { endpoint, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';
import { eventView } from './event-kinds.js';
import { eventTypePattern } from './event-type.js';

/** How long events are kept. */
export const EVENT_DAYS = 30;

export const listEvents = endpoint({
  method: 'GET',
  path: '/events',
  tag: 'events',
  summary: 'What has happened',
  description: [
    `Kept for ${EVENT_DAYS} days; those of a promotion as long as it is open. Whoever goes on \`after\` the last event that came misses none, and gets none twice.`,
    'An event is shown a moment after the write that it tells of. Bulk imports of keys are no events.',
  ].join(' '),
  access: VIEWERS,
  query: z.strictObject({
    ...pageQuery,
    order: z.enum(['asc', 'desc']).default('asc').meta({ description: '`desc`: the newest first.' }),
    after: z.uuid().optional().meta({ description: 'The id of an event: only what came after that.' }),
    since: z.iso.datetime({ offset: true }).optional().meta({ description: 'Only what has happened from then on.' }),
    type: eventTypePattern.optional(),
    subject: lineOfText(300).optional().meta({ example: 'replica/eu-west-1' }),
    environment: lineOfText(64).optional(),
  }),
  answers: { 200: pageOf(eventView) },
});
