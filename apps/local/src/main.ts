import { loadOrExit } from '#platform';
import { HELP, localConfig } from './config/config.js';
import { run } from './run.js';

const config = await loadOrExit('npm start', () => localConfig(process.env, process.argv.slice(2)));
if (config.help) process.stdout.write(HELP);
else await run(config);
