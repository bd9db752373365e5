import { setTimeout as sleep } from 'node:timers/promises';
import { type PromotionWorld, REGIONS } from './world.js';

export interface Kill {
  victim: string;
  /** milliseconds of the clock of this machine */
  at: number;
}

const FIRST_MS = 200;
/** How long a victim stays away, at the most, before it is started again. */
const AWAY_MS = 1_500;
const AGAIN_MS = 200;

/** Kills everything once, in any order, at any moment of the window: one may go while another is away. @returns when all are back */
export async function killAll(world: PromotionWorld, windowMs: number): Promise<Kill[]> {
  const region = REGIONS[Math.floor(Math.random() * REGIONS.length)] ?? 'eu-west';
  const victims: [string, () => Promise<void>, () => Promise<void>][] = [
    ['master', () => world.killMaster(), () => world.startMaster('BullMQ')],
    ['Redis', () => world.killRedis(), () => world.startRedis()],
    ['PostgreSQL', () => world.killPostgres(), () => world.startPostgres()],
    ['replica', () => world.killReplica(region), () => world.startReplica(region)],
  ];
  return Promise.all(
    victims.map(async ([victim, kill, start]) => {
      await sleep(FIRST_MS + windowMs * Math.random());
      const at = Date.now();
      await kill();
      await sleep(AWAY_MS * Math.random());
      await insist(start);
      return { victim, at };
    }),
  );
}

/** As what runs it in production would: a master that finds no database ends, and is started again. */
async function insist(start: () => Promise<void>): Promise<void> {
  const attempts = 20;
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (attempt === attempts) throw error;
      await sleep(AGAIN_MS);
    }
  }
}
