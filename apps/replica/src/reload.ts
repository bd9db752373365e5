import { ConfigError, type Logger } from '#platform';
import type { ReplicaConfig } from './config/replica-config.js';
import type { WorkerPool } from './gateway/worker-pool.js';

/**
 * On SIGHUP new gateway workers, which are of the program and have the settings that are on the disk now, take the place
 * of those that serve. What cannot be used changes nothing: the log says why. Signals that come meanwhile are one.
 *
 * @param read the settings again; throws ConfigError
 */
export function onReload(workers: WorkerPool, read: () => Promise<Readonly<ReplicaConfig>>, log: Logger): void {
  let running = false;
  let asked = false;
  const reload = async (): Promise<void> => {
    try {
      const { workers: count, accessLog, cacheBytes, limits, traces, certificates } = await read();
      await workers.renew({ workers: count, accessLog, cacheBytes, limits, traces, certificates });
      log.info({ workers: count }, 'new gateway workers serve; those before them end when their requests have');
    } catch (error) {
      const why = error instanceof ConfigError ? { faults: error.faults } : { err: error };
      log.error(why, 'the gateway workers could not be renewed; those before go on as they were');
    }
  };
  process.on('SIGHUP', () => {
    asked = true;
    if (running) return;
    running = true;
    void (async () => {
      while (asked) {
        asked = false;
        await reload();
      }
      running = false;
    })();
  });
}
