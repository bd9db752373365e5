import { Controller, Inject } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG } from '../config/tokens.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { type Answer, ok } from '../http/request.js';
import { type EnvironmentHealth, PublishingHealth } from '../publishing/index.js';
import { VERSION } from '../version.js';
import { ReplicasService } from './replicas.service.js';
import { getStatus, type SystemStatus } from './status.endpoints.js';

type Environment = SystemStatus['environments'][number];

/** What an operator looks at first, in one answer: all queries at once. */
@Controller()
export class StatusController {
  constructor(
    @Inject(CONFIG) private readonly config: MasterConfig,
    @InjectDataSource() private readonly source: DataSource,
    private readonly publishing: PublishingHealth,
    private readonly replicas: ReplicasService,
  ) {}

  @Route(getStatus)
  async get(@Input() { query: { environment } }: InputOf<typeof getStatus>): Promise<Answer<SystemStatus>> {
    const [all, published, replicas, regions, promotions] = await Promise.all([
      this.publishing.environments(),
      this.publishing.published(),
      this.replicas.all(environment),
      this.source.query<RegionRow[]>('SELECT id, environment_id AS environment FROM region ORDER BY id'),
      this.source.query<PromotionRow[]>(OPEN_PROMOTIONS),
    ]);
    const wanted = all.filter((one) => environment === undefined || one.environment === environment);
    if (environment !== undefined && wanted.length === 0)
      throw fail('not_found', `there is no environment "${environment}"`);
    const environments = wanted.map((one): Environment => {
      const ofIt = (other: { environment: string }): boolean => other.environment === one.environment;
      return {
        ...standingOf(one, published.has(one.environment)),
        promotions: promotions.filter(ofIt).map(({ environment: _, since, ...rest }) => ({
          ...rest,
          since: since.toISOString(),
        })),
        regions: regions
          .filter(ofIt)
          .map(({ id }) => ({ id, replicas: replicas.filter(({ region }) => region === id) })),
      };
    });
    return ok({ at: new Date().toISOString(), instance: this.config.instance, version: VERSION, environments });
  }
}

function standingOf(health: EnvironmentHealth, isPublished: boolean): Omit<Environment, 'promotions' | 'regions'> {
  const { environment: id, epoch, revision, storedRevision, leaderInstance: leader, fence, waitsFor, store } = health;
  const state = fence ? 'fenced' : isPublished ? 'publishing' : 'waiting';
  const problem = fence?.detail ?? waitsFor ?? health.error ?? store?.error ?? null;
  const { outbox: waiting, outboxAgeSeconds: waitingSeconds } = health;
  return { id, state, problem, epoch, revision, storedRevision, leader, waiting, waitingSeconds };
}

interface RegionRow {
  id: string;
  environment: string;
}

interface PromotionRow extends Omit<Environment['promotions'][number], 'since'> {
  environment: string;
  since: Date;
}

const OPEN_PROMOTIONS = `
  SELECT p.id, p.environment_id AS environment, p.state, p.wave, jsonb_array_length(p.waves) AS waves, p.state_since AS since,
    array_agg(l.api_id ORDER BY l.api_id) AS apis
  FROM promotion_lock l JOIN promotion p ON p.id = l.promotion_id
  GROUP BY p.id ORDER BY p.created_at, p.id`;
