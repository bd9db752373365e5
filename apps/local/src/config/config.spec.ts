import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { localConfig } from './config.js';

describe('localConfig', () => {
  it('has a default for everything, and knows --fresh and --help', () => {
    expect(localConfig({}, [])).toEqual({ home: resolve('.heliograph'), portBase: 8080, fresh: false, help: false });
    const env = { HELIO_HOME: '/srv/helio', HELIO_PORT_BASE: '18080' };
    expect(localConfig(env, ['--fresh'])).toEqual({ home: '/srv/helio', portBase: 18080, fresh: true, help: false });
    expect(localConfig({}, ['--help']).help).toBe(true);
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
