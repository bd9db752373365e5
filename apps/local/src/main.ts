import { loadOrExit } from '#platform';
import { HELP, localConfig } from './config/config.js';
import { DEMO_HELP, demoConfig } from './config/demo-config.js';
import { runDemo } from './demo/run-demo.js';
import { run } from './run.js';

const [first, ...others] = process.argv.slice(2);
if (first === 'demo') {
  const config = await loadOrExit('npm run demo', () => demoConfig(process.env, others));
  if (config.help) process.stdout.write(DEMO_HELP);
  else await runDemo(config);
} else {
  const config = await loadOrExit('npm start', () => localConfig(process.env, process.argv.slice(2)));
  if (config.help) process.stdout.write(HELP);
  else await run(config);
}
