import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { demoConfig } from './demo-config.js';

describe('demoConfig', () => {
  it('is the good release unless it is asked for the bad one', () => {
    expect(demoConfig({}, [])).toEqual({ home: resolve('.heliograph'), isBad: false, help: false });
    expect(demoConfig({ HELIO_HOME: '/srv/helio' }, ['bad'])).toEqual({ home: '/srv/helio', isBad: true, help: false });
    expect([demoConfig({}, ['good']).isBad, demoConfig({}, ['--help']).help]).toEqual([false, true]);
  });

  it('names everything that it does not know', () => {
    expect(() => demoConfig({ HELIO_HOM: 'x' }, ['ugly', 'bad'])).toThrow(
      /ugly: is not an option.*bad: is not an option.*HELIO_HOM: is not a setting/s,
    );
  });
});
