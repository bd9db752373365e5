import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ChainMaker } from '#artifacts/testing';
import { describeWith, freePorts, makeCertificate, RedisCluster, RedisServer, startReplica, until } from '#harness';
import { createLog } from '#platform';
import { type Bucket, parseRedisUrl } from '#throttle';
import { KeptCounts } from './kept-counts.js';
import { RegionCounters } from './region-counters.js';

/** What docs/running.md says that a user needs: keys and commands. */
const RIGHTS = /^ACL SETUSER helio on >secret (.+)$/m
  .exec(readFileSync(new URL('../../../../docs/running.md', import.meta.url), 'utf8'))?.[1]
  ?.split(' ') as string[];
const FOR_CLUSTER = ['+cluster|slots', '+cluster|info', '+asking'];

const BUCKETS: Bucket[] = [
  { kind: 'quota', name: 's:1', limit: { limit: 10, per: 'month' } },
  { kind: 'rate', name: 's:1', limit: { limit: 10, per: 'hour' } },
];

describeWith('redis', 'the Redis of a region', () => {
  let directory: string;
  const stoppable: { stop: () => Promise<unknown> }[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'counters-'));
  });
  afterEach(async () => {
    for (const one of stoppable.splice(0)) await one.stop();
    rmSync(directory, { recursive: true });
  });

  function ours<T extends { stop: () => Promise<unknown> }>(one: T): T {
    stoppable.unshift(one);
    return one;
  }

  function begin(url: string) {
    const log = createLog('test', 'silent');
    const warn = vi.spyOn(log, 'warn');
    const redis = parseRedisUrl(url);
    const counters = ours(
      new RegionCounters({ environment: 'test', region: 'eu', redis, workers: () => 1, log, answerMs: 500 }),
    );
    counters.start(() => KeptCounts.open(join(directory, 'state')));
    return { counters, why: () => (warn.mock.calls[0]?.[0] as { why?: string } | undefined)?.why };
  }

  /** All that is ever asked of it. */
  async function use(url: string): Promise<void> {
    const { counters, why } = begin(url);
    await until(() => counters.status === 'shared', { what: 'Redis to be in use' });
    for (const bucket of BUCKETS) {
      const { lease } = await counters.take(bucket, { need: 1, ahead: 2, held: 0, lease: 0 });
      counters.give(bucket, 1, lease);
      await counters.take(bucket, { need: 1, ahead: 0, held: 0, lease: 0 });
    }
    expect({ ...counters.counts, why: why() }).toMatchObject({ local: 0, failed: 0 });
    await counters.stop();
  }

  const withUser = (url: string) => url.replace('://', '://helio:secret@');

  it('is used with the rights that are documented, and with each of them', async () => {
    const redis = ours(await RedisServer.start());
    await redis.command('ACL', 'SETUSER', 'helio', 'on', '>secret', ...RIGHTS);
    await redis.command('CONFIG', 'RESETSTAT');
    const complaints = vi.spyOn(console, 'warn');
    await use(withUser(redis.url));
    expect(complaints).not.toHaveBeenCalled();
    expect(await redis.command('ACL', 'LOG')).toEqual([]);
    const asked = `${await redis.command('INFO', 'commandstats')}`.matchAll(/^cmdstat_(\w+)/gm);
    const ofTests = ['auth', 'acl', 'config', 'info', 'hello', 'ping'];
    const used = [...asked].map(([, name]) => name as string).filter((name) => !ofTests.some((own) => name === own));
    expect(used.map((name) => `+${name}`).sort()).toEqual(RIGHTS.filter((right) => right.startsWith('+')).sort());
  });

  it('is used with the rights that are documented for a cluster', async () => {
    const cluster = ours(await RedisCluster.start());
    for (const master of cluster.masters)
      await master.command('ACL', 'SETUSER', 'helio', 'on', '>secret', ...RIGHTS, ...FOR_CLUSTER);
    await use(withUser(cluster.url));
    // the client would give its connections names, and goes on without
    const refused = (await Promise.all(cluster.masters.map((one) => one.command('ACL', 'LOG')))) as string[][][];
    expect(refused.flat().filter((entry) => !entry.includes('client|setname'))).toEqual([]);
  });

  it('T4 says why it is not used when it does not let us in, also for a cluster', async () => {
    const redis = ours(await RedisServer.start('--cluster-enabled', 'yes'));
    await redis.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
    for (const url of [redis.url, redis.url.replace('redis:', 'redis+cluster:')]) {
      const { counters, why } = begin(withUser(url));
      await until(() => why(), { what: 'a reason' });
      expect(why()).toMatch(/^WRONGPASS/);
      expect((await counters.take(BUCKETS[0] as Bucket, { need: 20, ahead: 0, held: 0, lease: 0 })).granted).toBe(10);
      await counters.stop();
      rmSync(join(directory, 'state'), { recursive: true });
    }
  });

  it('is asked in TLS under an authority of our own, and another one is told from it', async () => {
    const authority = { ...makeCertificate({ names: ['our authority'] }), name: 'our authority' };
    const { cert, key } = makeCertificate({ names: ['localhost'], issuer: authority });
    const file = (name: string, text: string): string => {
      const path = join(directory, name);
      writeFileSync(path, text);
      return path;
    };
    const [port = 0] = await freePorts(1);
    const [ca, other] = [file('ca', authority.cert), file('other', makeCertificate({ names: ['another'] }).cert)];
    const files = ['--tls-cert-file', file('cert', cert), '--tls-key-file', file('key', key), '--tls-ca-cert-file', ca];
    ours(await RedisServer.start('--tls-port', `${port}`, '--tls-auth-clients', 'no', ...files));
    const replica = ours(
      await startReplica({
        environment: 'prod',
        region: 'eu',
        stateDir: join(directory, 'state'),
        until: 'listening',
        env: {
          ARTIFACT_STORE: pathToFileURL(directory).href,
          HELIO_TRUSTED_KEYS: new ChainMaker().signer.publicKey,
          REDIS_URL: `rediss://localhost:${port}`,
          NODE_EXTRA_CA_CERTS: other,
        },
      }),
    );
    await until(() => replica.output().includes('the counters of the region cannot be used'), { what: 'the log' });
    expect(replica.output()).toMatch(/"why":"self-signed certificate in certificate chain[^"]*"/);
    await replica.stop();
    const again = ours(await replica.again({ NODE_EXTRA_CA_CERTS: ca }));
    await until(() => again.output().includes('the counters of the region are in use'), { what: 'Redis to be in use' });
  });
});
