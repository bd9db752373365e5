import { setTimeout as sleep } from 'node:timers/promises';
import { answered, type MasterApi } from '../api/master-api.js';
import type { Cli } from '../cli.js';
import { CliError } from '../exit.js';
import { LiveText } from '../output/live.js';
import { textOf } from '../output/render.js';
import { visible } from '../output/style.js';
import { bodyBytes } from '../api/body-bytes.js';
import { type SentEvent, sentEvents } from './event-lines.js';
import { type Promotion, promotionScreen, type Step } from './promotion-screen.js';

const ENDED = new Set(['completed', 'rejected', 'rolled-back']);
/** a master says it in `retry`, too */
const AGAIN_MS = 2_000;
/** A master that is away for longer is for people: the promotion goes on when it is back. */
const PATIENCE_MS = 10 * 60_000;
/** how often a terminal is told what it waits for: no event says that */
const LOOK_MS = 1_000;

/** Follows a promotion to its end, and ends well only where it is completed; a rollback, where it has rolled back. */
export async function watchPromotion(cli: Cli, promotion: string): Promise<void> {
  const api = await cli.api();
  const watched = new Watched(cli, await readPromotion(api, promotion));
  try {
    await cli.follow(async (signal) => {
      const done = new AbortController();
      const looking = cli.terminal ? look(api, watched, AbortSignal.any([signal, done.signal])) : Promise.resolve();
      try {
        await followEvents(api, watched, signal);
      } finally {
        done.abort();
        await looking;
      }
    });
  } finally {
    watched.end();
  }
  const { state, kind } = watched.now;
  if (!ENDED.has(state))
    throw new CliError(`the promotion is ${state}, and goes on without being watched`, {
      exit: 'interrupted',
      next: `\`helio promotion watch ${promotion}\` comes back to it.`,
    });
  if (state !== (kind === 'rollback' ? 'rolled-back' : 'completed')) cli.exit = 'failed';
}

/** Until it has ended. A connection that breaks is made again, from the last event on. @throws CliError when none can be made */
async function followEvents(api: MasterApi, watched: Watched, signal: AbortSignal): Promise<void> {
  const path = `/v1/promotions/${encodeURIComponent(watched.now.id)}/events`;
  let last: string | null = null;
  let heardAt = performance.now();
  for (;;) {
    try {
      const headers: Record<string, string> = last === null ? {} : { 'last-event-id': last };
      const response = await api.stream(path, { headers, signal });
      for await (const event of sentEvents(bodyBytes(response, signal))) {
        last = event.id ?? last;
        heardAt = performance.now();
        watched.tell(event);
      }
      // what the stream ended with may have been the end of the master
      watched.show(await readPromotion(api, watched.now.id));
      heardAt = performance.now();
      if (ENDED.has(watched.now.state)) return;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CliError && error.exit !== 'unreachable') throw error;
      if (performance.now() - heardAt > PATIENCE_MS) throw error;
      watched.lost((error as Error).message);
    }
    await sleep(AGAIN_MS, undefined, { signal });
  }
}

/** What it waits for, for who looks at a terminal. A master that is away is told of by who follows the events. */
async function look(api: MasterApi, watched: Watched, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      watched.show(await readPromotion(api, watched.now.id, signal));
    } catch (error) {
      if (!signal.aborted && !(error instanceof CliError)) throw error;
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function readPromotion(api: MasterApi, promotion: string, signal?: AbortSignal): Promise<Promotion> {
  const params = { path: { promotion } };
  return answered(await api.http.GET('/v1/promotions/{promotion}', { params, signal }));
}

/** What is known of it, on a terminal as a screen, elsewhere as a line for each thing that has happened. */
class Watched {
  private readonly live: LiveText;
  private readonly steps: Step[] = [];
  /** why the master does not answer; null: it does */
  private away: string | null = null;

  constructor(
    private readonly cli: Cli,
    public now: Promotion,
  ) {
    this.live = new LiveText(cli);
  }

  tell(event: SentEvent): void {
    const step = stepOf(event);
    this.steps.push(step);
    this.away = null;
    if (this.cli.terminal) this.draw();
    else this.cli.out(`${step.at} ${step.text}`);
  }

  show(promotion: Promotion): void {
    this.now = promotion;
    this.away = null;
    this.draw();
  }

  lost(message: string): void {
    if (this.away !== null) return;
    this.away = `the master is away, and is asked again: ${visible(message)}`;
    if (this.cli.terminal) this.draw();
    else this.cli.note(this.away);
  }

  end(): void {
    this.live.end();
  }

  private draw(): void {
    if (!this.cli.terminal) return;
    const { style } = this.cli;
    const screen = promotionScreen(this.now, this.steps, style, Date.now());
    this.live.show(this.away === null ? screen : `${screen}\n${style.red('!')} ${this.away}\n`);
  }
}

function stepOf({ type, data }: SentEvent): Step {
  const state = type.replace(/^promotion\./, '');
  let said: Record<string, unknown>;
  try {
    said = JSON.parse(data) as Record<string, unknown>;
  } catch {
    said = {};
  }
  const { at, actor, wave, because } = said;
  const detail = (because as { detail?: unknown } | null | undefined)?.detail;
  const text = [
    state,
    ...(typeof wave === 'number' && wave > 0 ? [`wave ${wave}`] : []),
    // what it does by itself is done in its own name
    ...(typeof actor === 'string' && !actor.startsWith('promotion/') ? [`by ${actor}`] : []),
    ...(typeof detail === 'string' ? [`(${detail})`] : []),
  ];
  return { at: typeof at === 'string' ? textOf(at) : '-', state, text: visible(text.join(' ')) };
}
