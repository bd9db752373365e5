import type { Server } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

/** Clients may go on coming faster than they are taken. */
const MOST_MS = 500;

/** Turns without anybody new: the first one may be half over when it is waited for. */
const QUIET_TURNS = 2;

/**
 * Takes the connections that wait in a port, and closes it then. With the last process that has it open the kernel resets who
 * waits there, though clients think that they are connected and have sent requests; a loop takes one of them each turn.
 *
 * @param now monotonic milliseconds
 */
export async function closeWhenTaken(server: Server, now: () => number): Promise<void> {
  let came = false;
  const note = (): void => void (came = true);
  server.on('connection', note).on('drop', note);
  const end = now() + MOST_MS;
  for (let quiet = 0; quiet < QUIET_TURNS && now() < end; quiet = came ? 0 : quiet + 1) {
    came = false;
    await turn();
  }
  server.off('connection', note).off('drop', note);
  server.close();
}
