import type { MasterApi, WriteOptions } from '../master-api.js';
import { DEMO_API } from './demo-api.js';

/** What the demo reads of a promotion. */
export interface Promotion {
  id: string;
  state: string;
  /** the one that has begun last, from 1; 0: none has */
  wave: number;
  waves: { regions: string[] }[];
  waitsFor: string | null;
  because: { detail: string; gate?: string; regions?: string[] } | null;
}

export interface NewPromotion {
  release: string;
  to: string;
  strategy: { waves: string[][]; soak: number; gates: { minRequests: number; p95Factor?: number } };
  /** past the environment before, and why */
  skip?: boolean;
  reason?: string;
}

/** @throws MasterError; `promotion_open` where there is one already */
export function promote(api: MasterApi, promotion: NewPromotion, options?: WriteOptions): Promise<Promotion> {
  return api.write<Promotion>('POST', '/promotions', { api: DEMO_API, ...promotion }, options);
}

export interface Placement {
  /** `*`: wherever there is none of its own */
  region: string;
  release: string;
}

/** Of the demo. */
export function placements(api: MasterApi, environment: string): Promise<Placement[]> {
  return api.all<Placement>(`/placements?environment=${environment}&api=${DEMO_API}`);
}

/** Past all promotions. @throws MasterError; `promotion_open` while there is one */
export async function place(
  api: MasterApi,
  environment: string,
  placed: readonly Placement[],
  reason: string,
): Promise<void> {
  const items = placed.map(({ region, release }) => ({ api: DEMO_API, region, release }));
  await api.write('POST', '/placements', { environment, items, reason });
}

/** States after which nothing comes by itself. */
export const ENDED = new Set(['completed', 'rejected', 'rolled-back']);
