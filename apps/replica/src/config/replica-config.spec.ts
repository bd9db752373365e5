import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { newSigningKeyPem, signerFromPem } from '#artifacts';
import { makeCertificate } from '#harness';
import { ConfigError } from '#platform';
import { LIMITS } from '../gateway/engine/limits.js';
import { writeIdentity } from '../identity/identity.js';
import { temporaryDirectory } from '../testing/state-fixture.js';
import { VERSION } from '../version.js';
import { replicaConfig } from './replica-config.js';

const KEY = signerFromPem(newSigningKeyPem()).publicKey;
const JOINED = { token: 't', trustedKeys: [KEY], store: 'file:///var/store' };

function stateDir(): string {
  const directory = temporaryDirectory();
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

function given(more: Record<string, string>): Record<string, string> {
  return { HELIO_ENVIRONMENT: 'prod', HELIO_REGION: 'eu-west', HELIO_STATE_DIR: '/nowhere', ...more };
}

function faults(env: Record<string, string>): string[] {
  try {
    replicaConfig(env);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map(({ field, problem, expected }) => `${field}: ${problem}${expected ? `; ${expected}` : ''}`);
  }
}

describe('VERSION', () => {
  it('is what package.json says', () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../../../package.json'), 'utf8')) as {
      version: string;
    };
    expect(VERSION).toBe(version);
  });
});

describe('replicaConfig', () => {
  it("takes OpenTelemetry's settings for traces, and records nothing without a collector", () => {
    const place = { ARTIFACT_STORE: 'file:///var/store', HELIO_TRUSTED_KEYS: KEY };
    const traces = (more: Record<string, string>) => replicaConfig(given({ ...place, ...more })).traces;
    expect(traces({})).toMatchObject({ url: null, sampler: { followsParent: true, ratio: 0 } });
    const OTEL_EXPORTER_OTLP_ENDPOINT = 'https://collector:4318/';
    expect(traces({ OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20b, X-T=1' })).toMatchObject({
      url: 'https://collector:4318/v1/traces',
      headers: { 'api-key': 'a b', 'x-t': '1' },
      sampler: { followsParent: true, ratio: 1 },
      resource: { 'service.name': 'heliograph', 'cloud.region': 'eu-west' },
    });
    const ratio = { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' };
    expect(traces(ratio).sampler).toEqual({ followsParent: false, ratio: 0.25 });
    const wrong = {
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_HEADERS: 'secret',
      OTEL_TRACES_SAMPLER: 'jaeger_remote',
      OTEL_TRACES_SAMPLER_ARG: '2',
    };
    expect(faults(given({ ...place, ...wrong })).map((fault) => fault.slice(0, 60))).toEqual(
      [
        'OTEL_EXPORTER_OTLP_PROTOCOL: must be http/json: no other is s',
        'OTEL_EXPORTER_OTLP_HEADERS: must be name=value with commas be',
        'OTEL_TRACES_SAMPLER: must be one of always_on, always_off, tr',
        'OTEL_TRACES_SAMPLER_ARG: must be a share from 0 to 1',
      ].map((fault) => fault.slice(0, 60)),
    );
    expect(faults(given({ ...place, OTEL_TRACES_SAMPLER: 'always_on', OTEL_TRACES_SAMPLER_ARG: '0.5' }))).toHaveLength(
      1,
    );
  });

  it('takes on, off or a share for the access log', () => {
    const place = { ARTIFACT_STORE: 'file:///var/store', HELIO_TRUSTED_KEYS: KEY };
    const share = (text: string) => replicaConfig(given({ ...place, HELIO_ACCESS_LOG: text })).accessLog;
    expect([share('on'), share('off'), share('0.01'), replicaConfig(given(place)).accessLog]).toEqual([1, 0, 0.01, 0]);
    expect(faults(given({ ...place, HELIO_ACCESS_LOG: '2' }))).toEqual([
      'HELIO_ACCESS_LOG: must be on, off, or a share like 0.01',
    ]);
  });

  it('takes a store and the keys to trust, and fills in the rest', () => {
    const config = replicaConfig(
      given({ ARTIFACT_STORE: 'file:///var/store', HELIO_TRUSTED_KEYS: `${KEY}, ${KEY}`, HELIO_BIND: '127.0.0.1' }),
    );
    expect(config).toMatchObject({
      environment: 'prod',
      region: 'eu-west',
      replica: null,
      storeUrl: 'file:///var/store',
      trustedKeys: [KEY, KEY],
      master: null,
    });
    expect(config).toMatchObject({
      gatewayPort: 9080,
      adminPort: 9180,
      bind: '127.0.0.1',
      adminBind: '127.0.0.1',
      pollMs: 2000,
      logLevel: 'info',
    });
    expect(config.workers).toBeGreaterThan(0);
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('takes a master and a join token instead', () => {
    const config = replicaConfig(given({ HELIO_MASTER_URL: 'http://master:8080/', HELIO_JOIN_TOKEN: 'hg_join_1' }));
    expect(config).toMatchObject({
      master: { urls: ['http://master:8080'], joinToken: 'hg_join_1' },
      storeUrl: null,
      trustedKeys: null,
    });
  });

  it('may be started in the environment of a master', () => {
    const own = { HELIO_MASTER_URL: 'http://master:8080', HELIO_JOIN_TOKEN: 'hg_join_1' };
    const masters = {
      HELIO_SIGNING_KEY: '/etc/heliograph/signing.pem',
      HELIO_BOOTSTRAP_ADMIN_TOKEN: 'a'.repeat(40),
      HELIO_DATABASE_POOL: '5',
      HELIO_ISSUER: 'https://master.example.com',
      HELIO_ISSUER_NETWORKS: '10.0.0.0/8',
      HELIO_TOKEN_KEY_DAYS: '7',
      HELIO_TOKEN_KEY_NOTICE_SECONDS: '60',
    };
    expect(faults(given({ ...own, ...masters }))).toEqual([]);
  });

  it('takes several instances of the master, and peers, which can be all there is to follow', () => {
    const config = replicaConfig(
      given({
        HELIO_MASTER_URL: 'http://one:8080/, https://two',
        HELIO_JOIN_TOKEN: 'hg_join_1',
        HELIO_PEERS: 'http://10.0.0.7:9180/,file:///mnt/copy',
      }),
    );
    expect(config).toMatchObject({
      master: { urls: ['http://one:8080', 'https://two'] },
      peers: ['http://10.0.0.7:9180', 'file:///mnt/copy'],
      pollMs: 2000,
      streamPollMs: 60_000,
    });
    expect(replicaConfig(given({ HELIO_TRUSTED_KEYS: KEY, HELIO_PEERS: 'file:///mnt/copy' })).storeUrl).toBeNull();
    expect(faults(given({ HELIO_MASTER_URL: 'http://one,two' }))).toContain(
      'HELIO_MASTER_URL[1]: must be a URL like http://host:port',
    );
  });

  it.each(['ftp://x', 'host:9180', 'http://', 'file://copy', 'http://u:p@host', 'http://host?x', 'file:///copy#x', ''])(
    'refuses the peer %j',
    (peer) => {
      expect(faults(given({ HELIO_TRUSTED_KEYS: KEY, HELIO_PEERS: `http://host:9180,${peer}` }))).toEqual([
        'HELIO_PEERS[1]: must be a URL like http://host:9180 or file:///directory, without credentials, "?" and "#"',
      ]);
    },
  );

  it('takes a peer behind a path, and secured', () => {
    const peers = ['https://gateway.example/replica-1', 'http://[::1]:9180'];
    expect(replicaConfig(given({ HELIO_TRUSTED_KEYS: KEY, HELIO_PEERS: peers.join(', ') })).peers).toEqual(peers);
  });

  it('reads trusted keys from a file, one a line, with comments', () => {
    const file = join(stateDir(), 'keys');
    writeFileSync(file, `# ours\n${KEY} # of 2026\n\n`);
    expect(
      replicaConfig(given({ ARTIFACT_STORE: 'file:///s', HELIO_TRUSTED_KEYS: `file://${file}` })).trustedKeys,
    ).toEqual([KEY]);
  });

  it('needs nothing but its place once it has joined; what is configured comes before what the master told', () => {
    const HELIO_STATE_DIR = stateDir();
    writeIdentity(HELIO_STATE_DIR, {
      version: 1,
      environment: 'prod',
      region: 'eu-west',
      replica: 'eu-west-1',
      joined: JOINED,
    });
    expect(replicaConfig(given({ HELIO_STATE_DIR }))).toMatchObject({
      storeUrl: 'file:///var/store',
      trustedKeys: null,
      identity: { joined: JOINED },
    });
    const other = signerFromPem(newSigningKeyPem()).publicKey;
    const configured = replicaConfig(
      given({ HELIO_STATE_DIR, ARTIFACT_STORE: 'file:///other', HELIO_TRUSTED_KEYS: other }),
    );
    expect(configured).toMatchObject({ storeUrl: 'file:///other', trustedKeys: [other] });
  });

  it('takes what clients may cost from settings, each with a default', () => {
    const enough = { ARTIFACT_STORE: 'file:///s', HELIO_TRUSTED_KEYS: KEY };
    expect(replicaConfig(given(enough)).limits).toEqual(LIMITS);
    const env = {
      HELIO_MAX_CONNECTIONS: '5',
      HELIO_MAX_HEAD_BYTES: '2048',
      HELIO_MAX_BODY_MB: '7',
      HELIO_MAX_REQUESTS: '3',
      HELIO_MAX_PIPELINED: '2',
      HELIO_HEAD_SECONDS: '1',
      HELIO_BODY_SECONDS: '2',
      HELIO_BODY_RATE: '0',
      HELIO_IDLE_SECONDS: '4',
    };
    expect(replicaConfig(given({ ...enough, ...env })).limits).toEqual({
      connections: 5,
      headBytes: 2048,
      bodyBytes: 7 * 1024 * 1024,
      requests: 3,
      pipelined: 2,
      headMs: 1000,
      stallMs: 2000,
      bodyRate: 0,
      idleMs: 4000,
    });
    const wrong = { HELIO_MAX_CONNECTIONS: '0', HELIO_MAX_BODY_MB: '1.5', HELIO_HEAD_SECONDS: '10s' };
    expect(faults(given({ ...enough, ...wrong }))).toEqual([
      'HELIO_MAX_CONNECTIONS: must be a whole number from 1 to 1000000',
      'HELIO_MAX_BODY_MB: must be a whole number from 1 to 1048576',
      'HELIO_HEAD_SECONDS: must be a whole number from 1 to 600',
    ]);
  });

  it('knows the port that it was started with, if that was meant for it, and one is all it may be', () => {
    const enough = { ARTIFACT_STORE: 'file:///s', HELIO_TRUSTED_KEYS: KEY };
    const mine = { LISTEN_PID: `${process.pid}` };
    expect(replicaConfig(given(enough)).inheritedFd).toBe(null);
    expect(replicaConfig(given({ ...enough, ...mine, LISTEN_FDS: '1' })).inheritedFd).toBe(3);
    expect(replicaConfig(given({ ...enough, LISTEN_PID: '1', LISTEN_FDS: '1' })).inheritedFd).toBe(null);
    expect(faults(given({ ...enough, ...mine, LISTEN_FDS: '2' }))).toEqual([
      "LISTEN_FDS: is 2: the gateway's port is the one socket that a replica may be started with; let the socket unit have one ListenStream",
    ]);
  });

  it('names every fault in one message, of single settings and of what they mean together', () => {
    const other = 'or HELIO_MASTER_URL and HELIO_JOIN_TOKEN, so that the master tells it';
    expect(
      faults({
        HELIO_REGION: 'EU West',
        GATEWAY_PORT: '99999',
        HELIO_WORKERS: '0',
        HELIO_CACHE_MB: '1e3',
        HELIO_BIND: 'all',
        HELIO_REGIOM: 'x',
      }),
    ).toEqual([
      'HELIO_REGIOM: is not a setting; did you mean HELIO_REGION?',
      'HELIO_ENVIRONMENT: must be given: the environment that this replica serves, like prod',
      'HELIO_REGION: a region id is lower-case letters, digits and dashes, and begins with a letter',
      'HELIO_STATE_DIR: must be given: a directory on a local disk for the state of this replica',
      'HELIO_WORKERS: must be a whole number from 1 to 256',
      'HELIO_CACHE_MB: must be a whole number from 0 to 65536',
      'GATEWAY_PORT: must be a whole number from 0 to 65535',
      'HELIO_BIND: must be an IP address, like 0.0.0.0 or 127.0.0.1',
      `HELIO_TRUSTED_KEYS: must be given: the public keys that sign the chain; ${other}`,
      `ARTIFACT_STORE: must be given: s3://bucket/prefix or file:///directory; HELIO_PEERS will do in its place; ${other}`,
    ]);
    expect(faults(given({ ARTIFACT_STORE: 'file:///s' }))).toEqual([
      `HELIO_TRUSTED_KEYS: must be given: the public keys that sign the chain; ${other}`,
    ]);
    expect(faults(given({ HELIO_MASTER_URL: 'http://master' }))[0]).toBe(
      'HELIO_JOIN_TOKEN: must be given with HELIO_MASTER_URL until this replica has joined',
    );
    expect(faults(given({ HELIO_JOIN_TOKEN: 't', ARTIFACT_STORE: 'file:///s', HELIO_TRUSTED_KEYS: KEY }))).toEqual([
      'HELIO_MASTER_URL: must be given with HELIO_JOIN_TOKEN: the master to join',
    ]);
  });

  it('refuses one port for two purposes', () => {
    const same = { ARTIFACT_STORE: 'file:///s', HELIO_TRUSTED_KEYS: 'x', GATEWAY_PORT: '9000', ADMIN_PORT: '9000' };
    expect(faults(given(same))[0]).toMatch(/^ADMIN_PORT: is 9000, and so is GATEWAY_PORT/);
  });

  it('refuses stores and keys that cannot be used, and shows no key that may be a private one', () => {
    const found = faults(
      given({ ARTIFACT_STORE: 's3://bucket/prefix', HELIO_TRUSTED_KEYS: `${KEY},MC4CAQAwBQYDK2VwBCIEIA==` }),
    );
    expect(found[0]).toMatch(/^ARTIFACT_STORE: .*an s3:\/\/ store needs S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY/);
    expect(found[1]).toBe('HELIO_TRUSTED_KEYS: its entry 2 is not an Ed25519 public key: 32 bytes in base64');
    expect(faults(given({ ARTIFACT_STORE: 'file:///s', HELIO_TRUSTED_KEYS: 'file:///nowhere/keys' }))[0]).toMatch(
      /^HELIO_TRUSTED_KEYS: ENOENT/,
    );
    expect(faults(given({ ARTIFACT_STORE: 'file:///s', HELIO_TRUSTED_KEYS: ' , ' }))).toEqual([
      'HELIO_TRUSTED_KEYS: has no key in it',
    ]);
  });

  it('refuses the state directory of another environment, region or replica, and one whose identity is broken', () => {
    const HELIO_STATE_DIR = stateDir();
    writeIdentity(HELIO_STATE_DIR, {
      version: 1,
      environment: 'staging',
      region: 'us-east',
      replica: 'us-east-1',
      joined: JOINED,
    });
    expect(faults(given({ HELIO_STATE_DIR, HELIO_REPLICA: 'eu-west-7' })).map((text) => text.split(',')[0])).toEqual([
      'HELIO_ENVIRONMENT: is prod',
      'HELIO_REGION: is eu-west',
      'HELIO_REPLICA: is eu-west-7',
    ]);
    writeFileSync(join(HELIO_STATE_DIR, 'identity.json'), '{');
    expect(faults(given({ HELIO_STATE_DIR }))[0]).toMatch(
      /^HELIO_STATE_DIR: .*identity.json cannot be used: it is not an identity/,
    );
    const file = join(HELIO_STATE_DIR, 'identity.json');
    for (const HELIO_STATE_DIR of [file, join(file, 'state')])
      expect(faults(given({ HELIO_STATE_DIR }))).toEqual([
        `HELIO_STATE_DIR: ${HELIO_STATE_DIR} cannot be a directory: it, or a part of its path, is a file; name a directory on a local disk`,
      ]);
    rmSync(file);
    mkdirSync(join(HELIO_STATE_DIR, 'identity.json'));
    expect(faults(given({ HELIO_STATE_DIR }))[0]).toMatch(/EISDIR/);
  });

  it('has a port in TLS with certificates that are there and good, and says which are not', () => {
    const base = given({ ARTIFACT_STORE: 'file:///s', HELIO_TRUSTED_KEYS: KEY });
    const directory = stateDir();
    const { cert, key } = makeCertificate({ names: ['localhost'] });
    writeFileSync(join(directory, 'tls.crt'), cert);
    writeFileSync(join(directory, 'tls.key'), key);
    expect(replicaConfig(base)).toMatchObject({ tls: null, adminCertificates: null });
    expect(replicaConfig({ ...base, HELIO_TLS_CERTIFICATES: directory }).tls).toEqual({
      port: 9443,
      certificates: directory,
    });
    expect(faults({ ...base, GATEWAY_TLS_PORT: '9443' })[0]).toMatch(/^HELIO_TLS_CERTIFICATES: must be given with/);
    expect(faults({ ...base, HELIO_TLS_CERTIFICATES: directory, GATEWAY_TLS_PORT: '9180' })[0]).toMatch(
      /^GATEWAY_TLS_PORT: is 9180, and so is ADMIN_PORT/,
    );
    writeFileSync(join(directory, 'tls.key'), makeCertificate({ names: ['localhost'] }).key);
    expect(faults({ ...base, HELIO_ADMIN_CERTIFICATES: directory })).toEqual([
      `HELIO_ADMIN_CERTIFICATES: ${directory}/tls.key is not the private key of ${directory}/tls.crt`,
    ]);
  });
});
