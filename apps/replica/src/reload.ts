import { ConfigError, type Logger } from '#platform';
import { changedSettings } from './config/changed-settings.js';
import type { ReplicaConfig } from './config/replica-config.js';
import type { Settings } from './config/settings.js';
import type { WorkerPool } from './gateway/worker-pool.js';

export interface Reading {
  config: Readonly<ReplicaConfig>;
  /** that it was made of */
  settings: Settings;
}

/**
 * On SIGHUP new gateway workers, which are of the program and have the settings that are on the disk now, take the place
 * of those that serve. What cannot be used changes nothing: the log says why. Signals that come meanwhile are one.
 *
 * @param atStart what this process began with; the log names what has changed and takes a restart
 * @param read the settings again; throws ConfigError
 */
export function onReload(workers: WorkerPool, atStart: Settings, read: () => Promise<Reading>, log: Logger): void {
  let before = atStart;
  let running = false;
  let asked = false;
  const reload = async (): Promise<void> => {
    try {
      const { config, settings } = await read();
      const { workers: count, accessLog, cacheBytes, limits, traces, certificates } = config;
      await workers.renew({ workers: count, accessLog, cacheBytes, limits, traces, certificates });
      const { taken, waiting } = changedSettings(atStart, before, settings);
      before = settings;
      if (waiting.length > 0)
        log.warn(
          { settings: waiting },
          'changed settings that the new gateway workers do not take: they take a restart',
        );
      log.info(
        { workers: count, changed: taken },
        'new gateway workers serve; those before them end when their requests have',
      );
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
