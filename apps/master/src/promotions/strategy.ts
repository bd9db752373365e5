import { DEFAULT_REGION, regionId } from '#model';
import { z } from 'zod';

export const region = z.union([regionId, z.literal(DEFAULT_REGION)]);

const wholeNumber = (min: number, max: number) => {
  const text = `must be a whole number from ${min} to ${max}`;
  return z.int(text).min(min, text).max(max, text);
};
const soak = wholeNumber(0, 7 * 86_400);

const MOST_WAVES = 50;
export const MOST_REGIONS = 200;

const waves = z
  .array(z.array(region).min(1, 'must name a region').max(MOST_REGIONS))
  .min(1, 'must have a wave')
  .max(MOST_WAVES, `must have at most ${MOST_WAVES} waves`)
  .superRefine((all, ctx) => {
    const seen = new Set<string>();
    for (const [wave, regions] of all.entries()) {
      for (const [at, one] of regions.entries()) {
        const issue = (message: string): void => ctx.addIssue({ code: 'custom', path: [wave, at], message });
        if (seen.has(one)) issue(`names ${one} again`);
        if (one === DEFAULT_REGION && wave < all.length - 1) issue('* is all that is left: it goes into the last wave');
        seen.add(one);
      }
    }
  });

export const gates = z
  .strictObject({
    acknowledgedWithin: wholeNumber(1, 86_400)
      .default(300)
      .meta({ description: 'Seconds that the replicas of a wave have to acknowledge it.' }),
    minRequests: wholeNumber(0, 1_000_000_000)
      .default(100)
      .meta({ description: 'Of each API in a wave; with fewer it is waited for more. 0: none are needed.' }),
    maxErrorShare: z
      .number()
      .min(0)
      .max(1)
      .default(0.01)
      .meta({ description: 'Share of answers with 500 and above that is always allowed.' }),
    p95Factor: z
      .number()
      .min(1)
      .max(1000)
      .default(1.5)
      .meta({ description: 'How many times as long the 95th percentile may be as in other regions, or before.' }),
  })
  .meta({ id: 'PromotionGates' });

const DEFAULT_SOAK = 60;
export const strategy = z
  .strictObject({
    waves: z
      .union(
        [z.literal('all-at-once'), waves],
        'must be "all-at-once", or lists of regions like [["eu-west"], ["us-east"]]',
      )
      .default('all-at-once')
      .meta({
        description: 'Regions by wave. `*`, in the last one, stands for regions without a placement of their own.',
      }),
    soak: z
      .union([soak, z.array(soak)], 'must be seconds from 0 to 604800, or a list of them, one for each wave')
      .default(DEFAULT_SOAK)
      .meta({ description: 'Seconds between the acknowledgement of a wave and the next one; of all, or of each.' }),
    gates: gates.prefault({}),
  })
  .superRefine(({ waves: all, soak: soaks }, ctx) => {
    const count = all === 'all-at-once' ? 1 : all.length;
    if (Array.isArray(soaks) && soaks.length !== count)
      ctx.addIssue({ code: 'custom', path: ['soak'], message: `has ${soaks.length} numbers for ${count} waves` });
  })
  .meta({ id: 'PromotionStrategy' });
export type Strategy = z.infer<typeof strategy>;
