import type { FieldFault } from '#platform';
import { settingsFrom } from './config.js';

export const DEMO_HELP = `npm run demo [-- good|bad]: promotes a new release of the demo API beside a running npm start, and shows how it goes

Calls the demo in every region, 20 times a second, and promotes the release from environment to environment: in prod one
region first, then all others. The gates decide on the answers to these very calls. Takes less than a minute.

  good      (default) a release that works everywhere; its answers bear the next X-Demo-Release
  bad       one whose upstream in prod answers 500: the first region's gate takes it back
  --help    this text

Ctrl-C aborts the promotion under way: its regions get back what they had.
Exit codes: 0 it ended as it should; 1 it did not, or npm start does not run; 2 a wrong option; 130 Ctrl-C.
HELIO_HOME [.heliograph] is that of npm start.
`;

export interface DemoConfig {
  /** of the running system */
  home: string;
  isBad: boolean;
  help: boolean;
}

/** @throws ConfigError that names every fault */
export function demoConfig(env: Record<string, string | undefined>, args: readonly string[]): DemoConfig {
  const faults: FieldFault[] = args
    .filter((arg, at) => arg !== '--help' && (at > 0 || !['good', 'bad'].includes(arg)))
    .map((arg) => ({ field: arg, problem: 'is not an option', expected: 'good or bad; --help says more' }));
  const { home } = settingsFrom(env, faults);
  return { home, isBad: args[0] === 'bad', help: args.includes('--help') };
}
