import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { newSigningKeyPem } from '#artifacts';
import { ConfigError } from '#platform';
import { masterConfig } from './config.js';

const directory = mkdtempSync(join(tmpdir(), 'helio-config-'));
const key = join(directory, 'signing.pem');
writeFileSync(key, newSigningKeyPem(), { mode: 0o600 });
afterAll(() => rmSync(directory, { recursive: true }));

const configWith = (more: Record<string, string>) =>
  masterConfig({
    DATABASE_URL: 'postgres://u:p@db/h',
    ARTIFACT_STORE: `file://${directory}`,
    HELIO_SIGNING_KEY: key,
    ...more,
  });
const faultsWith = (more: Record<string, string>): string[] => {
  try {
    configWith(more);
    return [];
  } catch (error) {
    return error instanceof ConfigError ? error.faults.map(({ field }) => field) : [String(error)];
  }
};

describe('the name of the issuer', () => {
  it.each([
    ['https://master.example.com', 'https://master.example.com'],
    ['https://example.com:8443/auth/', 'https://example.com:8443/auth'],
    ['http://localhost:8080', 'http://localhost:8080'],
    ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
  ])('may be %s', (text, issuer) => expect(configWith({ HELIO_ISSUER: text }).HELIO_ISSUER).toBe(issuer));

  it.each([
    'http://master.example.com',
    'https://example.com?x=1',
    'https://example.com/?',
    'https://example.com/#',
    'https://user@example.com',
    'https://:password@example.com',
    'ftp://example.com',
    'example.com',
    'https://',
    `https://example.com/${'x'.repeat(512)}`,
  ])('may not be %s', (text) => expect(faultsWith({ HELIO_ISSUER: text })).toEqual(['HELIO_ISSUER']));
});

describe('the life of a token key', () => {
  it('has bounds', () => {
    const faulty = { HELIO_TOKEN_KEY_DAYS: '0', HELIO_TOKEN_KEY_NOTICE_SECONDS: '59' };
    expect(faultsWith(faulty)).toEqual(Object.keys(faulty));
    expect(configWith({})).toMatchObject({ HELIO_TOKEN_KEY_DAYS: 30, HELIO_TOKEN_KEY_NOTICE_SECONDS: 600 });
  });
});
