import swc from 'unplugin-swc';
import { defineConfig } from 'vitest/config';
import { HouseReporter } from './test/reporter.js';

export default defineConfig({
  // SWC instead of Vite's own transform: Nest and TypeORM need the types of decorated members at run time. Reads .swcrc.
  plugins: [swc.vite()],
  // `#platform` and its like are the sources here, and dist/ in production (package.json, "imports").
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['{apps,libs,test}/**/*.spec.ts'],
    reporters: [new HouseReporter()],
    pool: 'forks',
    // most of a suite's time is waiting for processes that it started
    maxWorkers: 3,
    globalSetup: ['test/global-setup.ts'],
    // what kills and starves real processes on a shared machine may fail once; test/reporter.ts tells, and bears, a few
    retry: 1,
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
