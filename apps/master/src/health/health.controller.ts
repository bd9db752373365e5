import { Controller, Get } from '@nestjs/common';
import type { Answer } from '../http/request.js';
import { PublishingHealth } from '../publishing/index.js';
import { VERSION } from '../version.js';
import { Draining } from './draining.js';
import { MasterMetrics } from './master-metrics.js';
import { ProbeConnection } from './probe-connection.js';

@Controller()
export class HealthController {
  constructor(
    private readonly probe: ProbeConnection,
    private readonly publishing: PublishingHealth,
    private readonly metrics: MasterMetrics,
    private readonly draining: Draining,
  ) {}

  /** The process runs; nothing else is asked. */
  @Get('livez')
  live(): Answer {
    return { status: 200, body: { status: 'ok', version: VERSION } };
  }

  /**
   * Whether requests may be sent here: the database answers, this master has a key that its chains trust, and it was not told
   * to stop. A fence is told, and makes nothing unready: it is of one environment and of all masters on the database, refuses
   * the writes by itself, and whoever ends it has to be let in. A store that is away, or that holds what proves nothing, stops nothing.
   */
  @Get('readyz')
  async ready(): Promise<Answer> {
    const environments = await this.probe.environments().catch(() => null);
    const database = environments !== null;
    const { refused, fences } = this.publishing;
    const stops = this.draining.hasBegun;
    const ready = database && refused.length === 0 && !stops;
    return {
      status: ready ? 200 : 503,
      body: {
        status: ready ? 'ok' : 'unavailable',
        version: VERSION,
        stops,
        database: database ? 'ok' : 'does not answer',
        signingKey:
          refused.length === 0
            ? 'ok'
            : `refused: ${refused.join(', ')} is signed with another key; start this master with the key that signed the chain`,
        office: fences.length === 0 ? 'ok' : 'fenced_off',
        fencedOff: fences.map(({ environment, fence }) => ({ environment, ...fence })),
        environments: environments ?? [],
      },
    };
  }

  @Get('metrics')
  async scrape(): Promise<Answer<string>> {
    return { status: 200, body: await this.metrics.text(), headers: { 'content-type': this.metrics.contentType } };
  }
}
