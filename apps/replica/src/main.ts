#!/usr/bin/env node
import { ConfigError, createLog, loadOrExit, onShutdown } from '#platform';
import { commandLine } from './config/command-line.js';
import { givenSettings, type ReplicaConfig, replicaConfig } from './config/replica-config.js';
import { withUsableSources } from './config/usable-sources.js';
import { PortCertificates } from './gateway/tls/port-certificates.js';
import { WorkerPool } from './gateway/worker-pool.js';
import { onReload, type Reading } from './reload.js';
import type { Replica } from './replica.js';
import { RegionCounters } from './throttle/region-counters.js';

const GRACE_MS = 10_000;

commandLine(process.argv.slice(2));
const read = async (): Promise<Reading> => {
  const config = await withUsableSources(replicaConfig(process.env));
  return { config, settings: givenSettings(process.env) };
};
const { config, settings } = await loadOrExit('helio-replica', read);
if (process.argv.includes('--check')) process.stdout.write('helio-replica: the configuration is valid\n');
else await start(config);

async function start(given: Readonly<ReplicaConfig>): Promise<void> {
  const log = createLog('replica', given.logLevel);
  const certificates = new PortCertificates(given.tls?.certificates ?? null, given.adminCertificates, log);
  const tls = given.tls && certificates.gateway && { port: given.tls.port, certificates: certificates.gateway };
  const counters: RegionCounters = new RegionCounters({ ...given, workers: () => workers.size, log });
  const workers = new WorkerPool({ ...given, port: given.gatewayPort, host: given.bind, tls, log }, counters);
  let replica: Replica | null = null;
  let stopping = false;
  const stop = (): Promise<void> => {
    stopping = true;
    return replica?.stop() ?? workers.stop(0);
  };
  onShutdown(stop, GRACE_MS);
  onReload(workers, settings, read, log);
  // A start is nearly all loading of modules: what serves comes first, side by side with the rest of this process.
  workers.boot();
  try {
    const { Replica } = await import('./replica.js');
    if (stopping) return;
    replica = new Replica(given, workers, counters, certificates, log);
    await replica.start();
  } catch (error) {
    if (stopping) return; // that it did not start is no fault then
    const { explainStart } = await import('./explain-start.js');
    process.stderr.write(`helio-replica: ${explainStart(error, given)}\n`);
    await stop();
    process.exit(error instanceof ConfigError ? 2 : 1); // whoever supervises it tries again after 1
  }
}
