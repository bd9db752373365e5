import { describe, expect, it } from 'vitest';
import { upstream } from './upstream.js';

/** A certificate; that it has expired one day is no fault of what names it. */
const CA = [
  '-----BEGIN CERTIFICATE-----',
  'MIIBeDCCAR+gAwIBAgIURvbU+J7i2OemO9XFjqwCsaczSxowCgYIKoZIzj0EAwIw',
  'EjEQMA4GA1UEAwwHU29tZSBDQTAeFw0yNjExMjIwMDQ2MjJaFw0zNjExMTkwMDQ2',
  'MjJaMBIxEDAOBgNVBAMMB1NvbWUgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC',
  'AAR2bf9xC4mJM6SgVEg+hNMjCdS1Qm+ZXFZNOwoLScQb/XY+Rq2sIOUJMNLrKMXO',
  'wy9P92oCPk/DlvCj+m9CCEVVo1MwUTAdBgNVHQ4EFgQUUlseBKKf3hvdAFZGWhjL',
  'XT1G2DEwHwYDVR0jBBgwFoAUUlseBKKf3hvdAFZGWhjLXT1G2DEwDwYDVR0TAQH/',
  'BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBqbWRWnHmaN6D1x04xOlgWlMF0Ux0p',
  'vuYeKyX/48QLBgIgUM3JFmRqjq4vpOTUNDr6HZM2KP5ZoKN4XfmpN4hYwtY=',
  '-----END CERTIFICATE-----',
].join('\n');

const plain = { targets: [{ url: 'http://a' }] };
const secure = { targets: [{ url: 'https://a' }] };

function faultsIn(value: object): string[] {
  const result = upstream.safeParse(value);
  return result.success ? [] : result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('an upstream', () => {
  it('may say all that docs/definition.md says', () => {
    const whole = {
      targets: [{ url: 'https://a:1/base', weight: 3 }],
      regions: { 'eu-west': { targets: [{ url: 'http://b' }] } },
      healthChecks: {
        passive: { failures: 0, ejectMs: 100 },
        active: {
          path: '/health?deep=1',
          intervalMs: 500,
          timeoutMs: 500,
          healthy: 1,
          unhealthy: 100,
          statuses: [200, 404],
        },
      },
      circuitBreaker: { maxConnections: 1, maxWaiting: 0, failurePercent: 100, minimumRequests: 1, openMs: 300_000 },
      tls: { ca: `${CA}\n${CA}\n`, clientCertificate: 'partner-1.prod', serverName: 'a.internal', minVersion: '1.3' },
    };
    expect(faultsIn(whole)).toEqual([]);
    expect(faultsIn({ ...plain, healthChecks: {}, circuitBreaker: {} })).toEqual([]);
  });

  it.each([
    ['an unknown field', { ...plain, healthCheck: {} }, /healthCheck/],
    ['a path without a slash', active({ path: 'health' }), /active.path: must be a path that begins with \//],
    ['a path with a line break', active({ path: '/a\r\nX: y' }), /active.path: must be a path/],
    ['a path with a fragment', active({ path: '/a#b' }), /active.path: must be a path/],
    ['a timeout above the interval', active({ intervalMs: 1000, timeoutMs: 1001 }), /timeoutMs: must not be longer/],
    ['a timeout above the usual interval', active({ timeoutMs: 10_001 }), /timeoutMs: must not be longer/],
    ['a check too often', active({ intervalMs: 100 }), /active.intervalMs/],
    ['no good status', active({ statuses: [] }), /active.statuses/],
    ['a breaker without a share', breaker({ openMs: 1000 }), /openMs: says nothing without failurePercent/],
    ['no connections', breaker({ maxConnections: 0 }), /maxConnections/],
    ['a share above all', breaker({ failurePercent: 101 }), /failurePercent/],
    ['TLS for targets without it', { ...plain, tls: {} }, /tls: is for targets with https/],
    ['an authority that is none', tls({ ca: 'x' }), /tls.ca: must be one certificate or more in PEM/],
    ['half an authority', tls({ ca: CA.slice(0, 200) }), /tls.ca: must be one certificate or more in PEM/],
    ['an authority and half of another', tls({ ca: `${CA}\n${CA.slice(0, 100)}` }), /tls.ca: must be one certificate/],
    ['a block that is no certificate', tls({ ca: CA.replace(/M/g, 'A') }), /its block 1 is none/],
    ['another kind of block', tls({ ca: CA.replaceAll('CERTIFICATE', 'PUBLIC KEY') }), /its block 1 is none/],
    [
      'a private key',
      tls({ ca: `${CA}\n-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----` }),
      /tls.ca: must not have a private key/,
    ],
    [
      'a certificate by its path',
      tls({ clientCertificate: '../secret' }),
      /clientCertificate: must be the name of a pair/,
    ],
    [
      'a certificate that is hidden',
      tls({ clientCertificate: '.key' }),
      /clientCertificate: must be the name of a pair/,
    ],
    ['an address for a name', tls({ serverName: '10.0.0.1' }), /serverName: must be a host name/],
    ['a version that is not safe', tls({ minVersion: '1.1' }), /minVersion: must be 1.2 or 1.3/],
  ])('must not have %s', (_, value, fault) => {
    expect(faultsIn(value).join()).toMatch(fault);
  });

  it('may have TLS when only one region has targets with it', () => {
    expect(faultsIn({ ...plain, regions: { 'eu-west': secure }, tls: { minVersion: '1.2' } })).toEqual([]);
  });
});

function active(more: object): object {
  return { ...plain, healthChecks: { active: { path: '/', ...more } } };
}

function breaker(circuitBreaker: object): object {
  return { ...plain, circuitBreaker };
}

function tls(more: object): object {
  return { ...secure, tls: more };
}
