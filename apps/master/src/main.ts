#!/usr/bin/env node
import 'reflect-metadata';
import { loadOrExit, onShutdown } from '#platform';
import { createApp, listen } from './app.js';
import { commandLine } from './command-line.js';
import { masterConfig, withUsableStore } from './config/config.js';
import { explainStart } from './explain-start.js';

const GRACE_MS = 10_000;

commandLine(process.argv.slice(2));
const config = await loadOrExit('helio-master', () => withUsableStore(masterConfig(process.env)));
if (process.argv.includes('--check')) {
  process.stdout.write('helio-master: the configuration is valid\n');
} else {
  try {
    const app = await createApp(config);
    onShutdown(() => app.close(), GRACE_MS);
    await listen(app, config);
  } catch (error) {
    process.stderr.write(`helio-master: ${explainStart(error, config)}\n`);
    process.exit(1);
  }
}
