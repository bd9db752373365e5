import { apiId, environmentId, regionId } from '#model';
import { z } from 'zod';
import { endpoint, VIEWERS } from '../http/endpoint.js';
import { pageQuery } from '../http/paging.js';

export const PLACES = ['environment', 'region', 'api', 'application', 'subscription'] as const;
export type Place = (typeof PLACES)[number];
const GROUPS = [...PLACES, 'day', 'hour'] as const;
type Group = (typeof GROUPS)[number];

const time = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })], {
    error: 'must be a day like 2026-11-01, or a time like 2026-11-01T13:00:00Z',
  })
  .transform((text) => new Date(text));

const groupsText = `must be some of ${GROUPS.join(', ')}, with commas between them, each once`;
const groupBy = z
  .string()
  .max(200)
  .transform((text, ctx): Group[] => {
    const groups = text.split(',');
    const fine = groups.every((group) => (GROUPS as readonly string[]).includes(group));
    if (fine && new Set(groups).size === groups.length) return groups as Group[];
    ctx.addIssue({ code: 'custom', message: groupsText });
    return z.NEVER;
  })
  .refine((groups) => !(groups.includes('day') && groups.includes('hour')), 'has either day or hour')
  .meta({ description: `Some of ${GROUPS.join(', ')}, with commas between them. Without it, one sum of all.` });

const uuid = (what: string): z.ZodType<string> => z.uuid(`must be the id of ${what}, a UUID`);

export const usageRow = z
  .object({
    hour: z.iso.datetime().optional().meta({ description: 'When it begins, UTC.' }),
    day: z.iso.date().optional(),
    environment: environmentId.optional(),
    region: regionId.optional(),
    api: z.string().optional(),
    application: z
      .uuid()
      .nullable()
      .optional()
      .meta({ description: 'null: requests to open APIs, which nobody sends.' }),
    applicationName: z
      .string()
      .nullable()
      .optional()
      .meta({ description: 'As it is called now; null: it was deleted.' }),
    subscription: z.uuid().nullable().optional(),
    admitted: z.int(),
    rateLimited: z.int().meta({ description: "Refused by the plan's rate." }),
    quotaExhausted: z.int().meta({ description: "Refused by the plan's quota." }),
  })
  .meta({ id: 'Usage' });
export type UsageRow = z.infer<typeof usageRow>;

const usagePage = z.object({
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  items: z.array(usageRow),
  next: z.string().nullable(),
});
export type UsagePage = z.infer<typeof usagePage>;

export const getUsage = endpoint({
  method: 'GET',
  path: '/usage',
  tag: 'usage',
  summary: 'What was used: requests that were admitted, and those that limits refused',
  description: [
    'Sums by what `groupBy` names; what is 0 is left out. Rows come by day (days: by month), then by group, then by time, or with `order=most` those with the most requests admitted first.',
    '`from` and `to` (which is not in it) are whole days, UTC; with `groupBy=hour` whole hours. Without them: the last 30 days, today with them.',
    'With `format=csv` or `ndjson`, or an Accept header of `text/csv` or `application/x-ndjson`, it is all rows at once, of any number. See docs/usage.md.',
  ].join('\n\n'),
  access: VIEWERS,
  query: z.strictObject({
    ...pageQuery,
    from: time.optional(),
    to: time.optional(),
    groupBy: groupBy.default([]),
    order: z.enum(['group', 'most'], 'must be group or most').default('group'),
    format: z.enum(['json', 'csv', 'ndjson'], 'must be json, csv or ndjson').optional(),
    environment: environmentId.optional(),
    region: regionId.optional(),
    api: apiId.optional(),
    application: uuid('an application').optional(),
    subscription: uuid('a subscription').optional(),
  }),
  answers: { 200: usagePage },
  errors: ['database_unavailable'],
});
