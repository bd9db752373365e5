#!/usr/bin/env node
import { environment } from './config/environment.js';
import { run } from './run.js';

process.exitCode = await run(process.argv.slice(2), environment(process.env));
