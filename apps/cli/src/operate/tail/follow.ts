import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { MasterApi } from '../../api/master-api.js';
import type { Cli } from '../../cli.js';
import { CliError } from '../../exit.js';
import { visible } from '../../output/style.js';
import { bodyBytes } from '../../api/body-bytes.js';
import { ask, jsonOf } from '../doctor/ask.js';
import { sentEvents } from '../event-lines.js';
import type { TailView } from './tail-view.js';

const AGAIN_MS = 1_000;
/** How often a replica is asked: lines are as late as that. */
const LOOK_MS = 500;
/** Whoever is away for longer is for people. */
const PATIENCE_MS = 10 * 60_000;

/** Requests of a region, or of a replica, by a master, until the signal fires. @throws CliError for what does not pass */
export async function followMaster(
  cli: Cli,
  view: TailView,
  where: string,
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<void> {
  const api = await cli.api();
  const id = encodeURIComponent(where);
  const paths = [`/v1/regions/${id}/access-log`, `/v1/replicas/${id}/access-log`] as const;
  let path: string = paths[0];
  await patiently(view, signal, async () => {
    const response = await open(api, `${path}?${query.toString()}`, signal).catch((error: unknown) => {
      const isUnknown = error instanceof CliError && error.exit === 'notFound';
      if (!isUnknown) throw error;
      if (path === paths[1]) throw nothingCalled(where, error);
      path = paths[1];
      return null;
    });
    if (response === null) return 0;
    const began = performance.now();
    for await (const event of sentEvents(response)) await view.event(event);
    // it ends every ten minutes, so that the token is looked at again; one that ends at once is not to be asked as fast as can be
    return Math.max(0, began + AGAIN_MS - performance.now());
  });
}

/** Requests of one replica, by its admin port, until the signal fires. @throws CliError for what does not pass */
export async function followReplica(
  view: TailView,
  admin: string,
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<void> {
  query.set('tail', randomUUID());
  await patiently(view, signal, async () => {
    const { lines, dropped } = await read(admin, query);
    view.following([admin]);
    for (const line of lines) await view.line(line);
    view.dropped(dropped);
    return LOOK_MS;
  });
}

/** Does it again and again; whoever was there once and is away is waited for. @param work @returns how long to wait after it */
async function patiently(view: TailView, signal: AbortSignal, work: () => Promise<number>): Promise<void> {
  let answeredAt: number | null = null;
  while (!signal.aborted) {
    let pause = AGAIN_MS;
    try {
      pause = await work();
      answeredAt = performance.now();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CliError && error.exit !== 'unreachable') throw error;
      if (error instanceof Broken) answeredAt = performance.now();
      if (answeredAt === null || performance.now() - answeredAt > PATIENCE_MS) throw error;
      view.lost((error as Error).message);
    }
    await sleep(pause, undefined, { signal });
  }
}

/** A connection over which something came has ended, and not as it should. */
class Broken extends Error {}

/** @returns the bytes of its body @throws CliError; and, while they come, Broken */
async function open(api: MasterApi, path: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const response = await api.stream(path, { signal });
  return (async function* () {
    try {
      yield* bodyBytes(response, signal);
    } catch (error) {
      throw new Broken((error as Error).message);
    }
  })();
}

const told = z.object({ lines: z.array(z.record(z.string(), z.unknown())), dropped: z.number() });

async function read(admin: string, query: URLSearchParams): Promise<z.infer<typeof told>> {
  const { status, text } = await ask(`${admin}/access-log?${query.toString()}`).catch((error: unknown) => {
    throw new CliError(`${admin} does not answer: ${(error as Error).message}`, {
      exit: 'unreachable',
      next: 'Check the address, which is that of its ADMIN_PORT, and that the replica runs.',
      cause: error,
    });
  });
  const json = jsonOf(text);
  const parsed = told.safeParse(json);
  if (status === 200 && parsed.success) return parsed.data;
  const { detail } = (json ?? {}) as { detail?: unknown };
  const because = typeof detail === 'string' ? detail : 'not as a replica does';
  throw new CliError(visible(`${admin} answers ${status}: ${because}`), {
    exit: status === 403 ? 'refused' : status === 400 ? 'usage' : 'unreachable',
    next: status === 403 ? 'Run it on the machine of the replica, or without --admin by a master.' : undefined,
  });
}

function nothingCalled(where: string, cause: CliError): CliError {
  return new CliError(visible(`there is no region and no replica "${where}"`), {
    exit: 'notFound',
    next: '`helio region list` and `helio replica list` name them.',
    cause,
  });
}
