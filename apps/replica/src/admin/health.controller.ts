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
   * @throws HelioError `not_ready`, `behind_min_revision` naming what is served; `invalid_request` for what no waiting helps
   */
  @Get('readyz')
  ready(@Query('min') min?: string | string[]): Ready {
    const { environment, loaded, lastError } = this.node.status();
    const asked = min === undefined ? 1 : atLeast(min, environment);
    if (loaded === 0) {
      throw fail(
        'not_ready',
        `no revision of ${environment} is loaded yet${lastError ? `: ${lastError.code}: ${lastError.detail}` : ''}`,
      );
    }
    if (asked > loaded) {
      // 503 and not the 425 that this code has in the gateway: those who ask here are probes
      throw fail('behind_min_revision', `revision ${loaded} of ${environment} is loaded here; ${asked} is asked for`, {
        status: 503,
        headers: { 'Retry-After': '1' },
      });
    }
    return { status: 'ok', environment, revision: loaded };
  }
}

/** The revision of `environment` that is asked for; another environment's will not be loaded here however long one waits. */
function atLeast(min: string | string[], environment: string): number {
  const match = typeof min === 'string' ? AT_LEAST.exec(min) : null;
  if (match?.[1] === environment) return Number(match[2]);
  const problem = match
    ? `names ${match[1]}, and this replica serves ${environment} and nothing else`
    : 'is not one revision';
  throw fail('invalid_request', `min ${problem}`, {
    fields: [{ field: 'min', problem, expected: `one revision of its environment, like ${environment}@184` }],
  });
}
