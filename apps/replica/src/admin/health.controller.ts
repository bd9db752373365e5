import { Controller, Get, Inject, Query } from '@nestjs/common';
import { fail } from '#model';
import { VERSION } from '../version.js';
import { NODE, type Node } from './node.js';

interface Ready {
  status: 'ok';
  environment: string;
  /** what every gateway worker serves, keys included */
  revision: number;
}

const AT_LEAST = /^([a-z][a-z0-9-]{0,31})@([0-9]{1,15})$/;

@Controller()
export class HealthController {
  constructor(@Inject(NODE) private readonly node: Node) {}

  /** The process runs; nothing else is asked. */
  @Get('livez')
  live(): { status: 'ok'; version: string } {
    return { status: 'ok', version: VERSION };
  }

  /**
   * Whether every gateway worker serves a revision; `?min=prod@184` asks for one at least that new.
   *
   * @throws HelioError `not_ready`, `behind_min_revision` naming what is served, `invalid_request`
   */
  @Get('readyz')
  ready(@Query('min') min?: string | string[]): Ready {
    const { environment, loaded, lastError } = this.node.status();
    const asked = min === undefined ? { environment, revision: 1 } : atLeast(min);
    if (loaded === 0) {
      throw fail(
        'not_ready',
        `no revision of ${environment} is loaded yet${lastError ? `: ${lastError.code}: ${lastError.detail}` : ''}`,
      );
    }
    if (asked.environment !== environment || asked.revision > loaded) {
      // 503 and not the 425 that this code has in the gateway: those who ask here are probes
      throw fail(
        'behind_min_revision',
        `revision ${loaded} of ${environment} is loaded here; ${asked.revision} of ${asked.environment} is asked for`,
        { status: 503, headers: { 'Retry-After': '1' } },
      );
    }
    return { status: 'ok', environment, revision: loaded };
  }
}

function atLeast(min: string | string[]): { environment: string; revision: number } {
  const match = typeof min === 'string' ? AT_LEAST.exec(min) : null;
  if (match) return { environment: match[1] as string, revision: Number(match[2]) };
  throw fail('invalid_request', 'min must be one revision like prod@184', {
    fields: [{ field: 'min', problem: 'is not one revision', expected: '<environment>@<number>, like prod@184' }],
  });
}
