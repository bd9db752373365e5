#!/usr/bin/env node
import 'reflect-metadata';
import { loadOrExit, onShutdown } from '#platform';
import { createApp, drain, listen } from './app.js';
import { commandLine } from './command-line.js';
import { masterConfig, withUsableStore } from './config/config.js';
import { explainStart } from './explain-start.js';

/** A write waits up to 10 seconds for its revision; imports that take longer are repeated by whoever sends them. */
const GRACE_MS = 20_000;

commandLine(process.argv.slice(2));
const config = await loadOrExit('helio-master', () => withUsableStore(masterConfig(process.env)));
if (process.argv.includes('--check')) {
  process.stdout.write('helio-master: the configuration is valid\n');
} else {
  try {
    const app = await createApp(config);
    onShutdown(() => drain(app), GRACE_MS);
    await listen(app, config);
  } catch (error) {
    process.stderr.write(`helio-master: ${explainStart(error, config)}\n`);
    process.exit(1);
  }
}
