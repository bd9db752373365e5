import { fail } from '#model';
import type { EntityManager } from 'typeorm';
import type { Query } from '../publishing/options.js';
import type { Finding, Gates } from './gates.js';
import type { PromotionPhase } from './promotion-machine.js';

/** Regions that change at the same time. `*` stands for the regions without a placement of their own. */
export interface Wave {
  regions: string[];
  /** seconds from when all of its replicas have acknowledged it, until the next one may begin */
  soak: number;
}

export interface PromotedRelease {
  api: string;
  /** its digest, in hexadecimal */
  release: string;
}

/** Why a promotion is where it is, where it did not just go on. */
export interface Because {
  /** one sentence for people */
  detail: string;
  /** who asked for it; null: it found out by itself */
  actor: string | null;
  /** `acknowledged`, `nack`, `placement`, or a gate on numbers */
  gate?: string;
  regions?: string[];
  replicas?: string[];
  finding?: Finding;
}

/** A promotion as it is stored. `rollback`: one that began with rolling back, to a release that was named. */
export interface PromotionRow extends PromotionPhase {
  id: string;
  kind: 'promotion' | 'rollback';
  environment: string;
  environmentBefore: string | null;
  /** counts its transitions */
  step: number;
  waves: Wave[];
  gates: Gates;
  /** that it needs, and who has given one */
  approvals: number;
  approvedBy: string[];
  skip: boolean;
  reason: string | null;
  because: Because | null;
  /** transaction that changed placements for it last, in decimal */
  xid: string | null;
  waveSince: Date | null;
  /** from when on the numbers of the wave count */
  countedSince: Date | null;
  stateSince: Date;
  /** milliseconds by the database's clock */
  stateAgeMs: number;
  requestedBy: string;
  createdAt: Date;
  releases: PromotedRelease[];
}

export const PROMOTION = `
  SELECT p.id, p.kind, p.environment_id AS environment, p.environment_before AS "environmentBefore", p.state, p.wave, p.step, p.waves, p.gates,
    p.approvals, p.skip, p.reason, p.because, p.xid::text AS xid, p.wave_since AS "waveSince", p.counted_since AS "countedSince", p.state_since AS "stateSince",
    extract(epoch FROM clock_timestamp() - p.state_since)::float8 * 1000 AS "stateAgeMs", p.requested_by AS "requestedBy",
    p.created_at AS "createdAt", p.created_at::text AS age,
    ARRAY(SELECT a.actor FROM promotion_approval a WHERE a.promotion_id = p.id ORDER BY a.at, a.actor) AS "approvedBy",
    (SELECT coalesce(json_agg(json_build_object('api', r.api_id, 'release', encode(r.digest, 'hex')) ORDER BY r.api_id), '[]')
     FROM promotion_release r WHERE r.promotion_id = p.id) AS releases
  FROM promotion p`;

/** @param query of a pool, or of a transaction */
export async function readPromotion(query: Query, id: string): Promise<PromotionRow | null> {
  const [row] = await query<PromotionRow>(`${PROMOTION} WHERE p.id = $1`, [id]);
  return row ?? null;
}

/** Holds it until the transaction ends: transitions come one after the other. @throws HelioError `not_found` */
export async function lockPromotion(manager: EntityManager, id: string): Promise<PromotionRow> {
  await manager.query('SELECT FROM promotion WHERE id = $1 FOR NO KEY UPDATE', [id]);
  const row = await readPromotion((sql, parameters) => manager.query(sql, parameters), id); // as it is once it is locked
  if (!row) throw fail('not_found', `there is no promotion ${id}`);
  return row;
}

/** The wave that is under way, or was last; undefined: none has begun. */
export function waveOf({ waves, wave }: PromotionRow): Wave | undefined {
  return waves[wave - 1];
}
