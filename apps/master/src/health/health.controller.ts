import { Controller, Get } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { Answer } from '../http/request.js';
import { PublishingHealth } from '../publishing/index.js';
import { VERSION } from '../version.js';
import { MasterMetrics } from './master-metrics.js';

const DATABASE_ANSWER_MS = 2000;

@Controller()
export class HealthController {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly publishing: PublishingHealth,
    private readonly metrics: MasterMetrics,
  ) {}

  /** The process runs; nothing else is asked. */
  @Get('livez')
  live(): Answer {
    return { status: 200, body: { status: 'ok', version: VERSION } };
  }

  /**
   * Whether writes can be taken: the database answers, this master has a key that its chains trust, and no other master
   * has taken its place. A store that is away, or that holds what proves nothing, is told, and stops nothing.
   */
  @Get('readyz')
  async ready(): Promise<Answer> {
    const database = await this.databaseAnswers();
    const environments = database ? await this.publishing.environments() : [];
    const { refused, fences } = this.publishing;
    const ready = database && refused.length === 0 && fences.length === 0;
    return {
      status: ready ? 200 : 503,
      body: {
        status: ready ? 'ok' : 'unavailable',
        version: VERSION,
        database: database ? 'ok' : 'does not answer',
        signingKey:
          refused.length === 0
            ? 'ok'
            : `refused: ${refused.join(', ')} is signed with another key; start this master with the key that signed the chain`,
        office: fences.length === 0 ? 'ok' : 'fenced_off',
        fencedOff: fences.map(({ environment, fence }) => ({ environment, ...fence })),
        environments,
      },
    };
  }

  @Get('metrics')
  async scrape(): Promise<Answer<string>> {
    return { status: 200, body: await this.metrics.text(), headers: { 'content-type': this.metrics.contentType } };
  }

  private async databaseAnswers(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), DATABASE_ANSWER_MS)));
    const asked = this.source.query('SELECT 1').then(
      () => true,
      () => false,
    );
    try {
      return await Promise.race([asked, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
