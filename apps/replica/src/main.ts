#!/usr/bin/env node
import { loadOrExit, onShutdown } from '#platform';
import { commandLine } from './config/command-line.js';
import { replicaConfig } from './config/replica-config.js';
import { explainStart } from './explain-start.js';
import { Replica } from './replica.js';

const GRACE_MS = 10_000;

commandLine(process.argv.slice(2));
const config = loadOrExit('helio-replica', () => replicaConfig(process.env));
if (process.argv.includes('--check')) {
  process.stdout.write('helio-replica: the configuration is valid\n');
} else {
  const replica = new Replica(config);
  onShutdown(() => replica.stop(), GRACE_MS);
  try {
    await replica.start();
  } catch (error) {
    process.stderr.write(`helio-replica: ${explainStart(error, config)}\n`);
    await replica.stop();
    process.exit(2);
  }
}
