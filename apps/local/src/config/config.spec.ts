import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { REGIONS } from '../topology.js';
import { localConfig } from './config.js';

describe('localConfig', () => {
  it('has a default for everything, and knows --fresh and --help', () => {
    const defaults = { regions: REGIONS, fresh: false, help: false };
    expect(localConfig({}, [])).toEqual({ home: resolve('.heliograph'), portBase: 8080, ...defaults });
    const env = { HELIO_HOME: '/srv/helio', HELIO_PORT_BASE: '18080' };
    expect(localConfig(env, ['--fresh'])).toEqual({ home: '/srv/helio', portBase: 18080, ...defaults, fresh: true });
    expect(localConfig({}, ['--help']).help).toBe(true);
  });

  it('takes some of the regions, in the order of their ports', () => {
    for (const args of [
      ['--regions', 'staging-eu,eu-west'],
      ['--regions=eu-west, staging-eu', '--fresh'],
    ]) {
      const { regions } = localConfig({}, args);
      expect(regions, args.join()).toEqual([
        { id: 'eu-west', environment: 'prod' },
        { id: 'staging-eu', environment: 'staging' },
      ]);
    }
  });

  it('refuses regions that there are not, and says which there are', () => {
    expect(() => localConfig({}, ['--regions', 'eu-west,eu-east,mars'])).toThrow(
      /--regions: there is no region "eu-east"; some of eu-west,us-east,ap-south,staging-eu,dev-eu\n.*"mars"/s,
    );
    for (const args of [['--regions'], ['--regions='], ['--regions', 'eu-west,']]) {
      expect(() => localConfig({}, args), args.join()).toThrow(/--regions: is missing a region; some of eu-west/);
    }
  });

  it('refuses arguments that it does not know, and says what there is', () => {
    for (const args of [['--frsh'], ['fresh'], ['--fresh=yes']]) {
      expect(() => localConfig({}, args), args.join()).toThrow(/is not an option; --help lists them/);
    }
  });

  it('refuses variables that are wrong or not its own, but not those of the tests', () => {
    expect(() => localConfig({ HELIO_PORT_BASE: '80' }, [])).toThrow(
      'HELIO_PORT_BASE: must be a whole number from 1024 to 64000',
    );
    expect(() => localConfig({ HELIO_REGION: 'eu' }, [])).toThrow('HELIO_REGION: is not a setting');
    expect(localConfig({ S3_ENDPOINT: 'http://s3' }, []).portBase).toBe(8080);
  });
});
