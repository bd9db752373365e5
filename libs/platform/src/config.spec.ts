import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ConfigError, intSetting, loadConfig, portSetting, urlSetting } from './config.js';

const schema = z.strictObject({
  HELIO_REGION: z.string(),
  HELIO_MASTER_URL: urlSetting.optional(),
  PORT: portSetting.default(8080),
  HELIO_WORKERS: intSetting(1, 64).default(2),
});

function faultsOf(env: Record<string, string>): string[] {
  try {
    loadConfig(schema, env, {
      others: ['S3_REGION'],
      together: ({ PORT }) => (PORT === 13 ? [{ field: 'PORT', problem: 'brings bad luck' }] : []),
    });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map(
      (fault) => `${fault.field}: ${fault.problem}${fault.expected ? `; ${fault.expected}` : ''}`,
    );
  }
}

describe('loadConfig', () => {
  it('gives defaults, converts numbers and freezes the result', () => {
    const config = loadConfig(schema, { HELIO_REGION: 'eu-west', PORT: '9000' });
    expect(config).toEqual({ HELIO_REGION: 'eu-west', PORT: 9000, HELIO_WORKERS: 2 });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('reports every fault together: wrong, missing, and unknown names with the nearest known one', () => {
    expect(
      faultsOf({ PORT: '70000', HELIO_WORKERS: 'many', HELIO_REGIOM: 'x', HELIO_MASTER_URL: 'master:80' }),
    ).toEqual([
      'HELIO_REGIOM: is not a setting; did you mean HELIO_REGION?',
      'HELIO_REGION: must be given (string)',
      'HELIO_MASTER_URL: must be a URL like http://host:port',
      'PORT: must be a whole number from 0 to 65535',
      'HELIO_WORKERS: must be a whole number from 1 to 64',
    ]);
  });

  it('adds what does not go together, also when something else is wrong', () => {
    expect(faultsOf({ PORT: '13', HELIO_WORKERS: '0' })).toEqual([
      'HELIO_REGION: must be given (string)',
      'HELIO_WORKERS: must be a whole number from 1 to 64',
      'PORT: brings bad luck',
    ]);
  });

  it('leaves names of other apps and of other programs alone', () => {
    expect(faultsOf({ HELIO_REGION: 'a', S3_REGION: 'x', PATH: '/bin' })).toEqual([]);
  });

  it('reads a YAML file below the environment, and names what is unknown in it', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'helio-config-')), 'helio.yaml');
    writeFileSync(path, 'HELIO_REGION: eu-west\nPORT: 81\n');
    expect(loadConfig(schema, { HELIO_CONFIG: path, PORT: '82' })).toMatchObject({ HELIO_REGION: 'eu-west', PORT: 82 });
    writeFileSync(path, 'HELIO_REGION: eu-west\nPROT: 81\n');
    expect(faultsOf({ HELIO_CONFIG: path })).toEqual(['PROT: is not a setting; did you mean PORT?']);
  });

  it('reports a file without settings alone, not what may have been in it', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'helio-config-')), 'helio.yaml');
    writeFileSync(path, 'a: [');
    expect(faultsOf({ HELIO_CONFIG: path })).toEqual([expect.stringMatching(/^HELIO_CONFIG: the file .* is not YAML/)]);
    writeFileSync(path, '- PORT: 81');
    expect(faultsOf({ HELIO_CONFIG: path })).toEqual([
      expect.stringMatching(/^HELIO_CONFIG: the file .* is not a map/),
    ]);
    expect(faultsOf({ HELIO_CONFIG: '/nowhere/x', HELIO_WORKERS: 'many' })).toEqual([
      expect.stringMatching(/^HELIO_CONFIG: the file \/nowhere\/x cannot be read: ENOENT/),
    ]);
  });
});
