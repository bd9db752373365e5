import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  describeWith,
  freePorts,
  makeCertificate,
  pauseProcess,
  type RecordingUpstream,
  recordingUpstream,
  RedisServer,
  until,
} from '#harness';
import { type Consumer, Rig } from '../scenarios/rig.js';
import { AlertWatch, dashboardQueries, type Repeated, repeatedly, TEST_MS } from './alert-watch.js';

vi.setConfig({ testTimeout: TEST_MS });

const MAX_CONNECTIONS = 20;
/** Spans of so many requests are more than two workers keep. */
const MANY = 4_000;

let rig: Rig;
let consumer: Consumer;
let watch: AlertWatch;
let redis: RedisServer;
/** never answers, until it is told to */
let slow: RecordingUpstream;
/** where nobody listens, until somebody does */
let dark: { port: number; server?: RecordingUpstream };
/** where no collector of spans listens, until there is one */
let collectorPort: number;
let collector: Server | undefined;
let traffic: NodeJS.Timeout | undefined;
/** of eu-west */
let instance: string;
let certificates: string;

function call(path: string, region: 'eu-west' | 'us-east' = 'us-east'): Promise<unknown> {
  return rig.call(region, path, consumer.secret).catch(() => undefined);
}

async function workerOf(region: 'eu-west' | 'us-east'): Promise<number> {
  const look = async (): Promise<number | undefined> => (await rig.status(region)).workers[0]?.pid;
  return until(look, { what: `a worker of ${region}` });
}

/** The files of a certificate, which are read every five seconds. */
function writeCertificate(name: string, days: number): void {
  const { cert, key } = makeCertificate({ names: [`${name}.test`], days });
  writeFileSync(join(certificates, `${name}.crt`), cert);
  writeFileSync(join(certificates, `${name}.key`), key);
}

async function begin(): Promise<void> {
  redis = await RedisServer.start();
  slow = await recordingUpstream();
  slow.fault = { kind: 'hang' };
  dark = { port: (await freePorts(1))[0] ?? 0 };
  rig = await Rig.start();
  const { client } = rig.master;
  const { headers } = await client.get('/v1/plans/free');
  const rate = { limit: 5, per: 'second' };
  await client.patch('/v1/plans/free', { rate }, { headers: { 'if-match': headers.get('etag') ?? '' } });
  const upstream = (url: string, more: object): object => ({ upstream: { targets: [{ url }], ...more } });
  const unwatched = { responseTimeoutMs: 2_000, healthChecks: { passive: { failures: 0 } } };
  const breaker = { circuitBreaker: { failurePercent: 50, minimumRequests: 5 } };
  const active = { active: { path: '/', intervalMs: 2_000, timeoutMs: 2_000 } };
  const apis = [
    await rig.publish('weather', { policies: { cache: { ttlSeconds: 2 } } }),
    await rig.publish('slow', upstream(slow.url, unwatched)),
    await rig.publish('shaky', upstream(slow.url, { ...unwatched, ...breaker })),
    await rig.publish('dark', upstream(`http://127.0.0.1:${dark.port}`, { healthChecks: active })),
  ];
  consumer = await rig.consumer(...apis);
  await rig.everywhere(consumer.revision);
  certificates = join(rig.directory, 'certificates');
  mkdirSync(certificates);
  for (const name of ['one', 'other']) writeCertificate(name, 60);
  const tlsPort = (await freePorts(1))[0] ?? 0;
  collectorPort = (await freePorts(1))[0] ?? 0;
  const more = {
    'eu-west': {
      HELIO_WORKERS: '2',
      HELIO_TLS_CERTIFICATES: certificates,
      GATEWAY_TLS_PORT: `${tlsPort}`,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}`,
    },
    'us-east': { REDIS_URL: redis.url, HELIO_MAX_CONNECTIONS: `${MAX_CONNECTIONS}` },
  };
  for (const region of ['eu-west', 'us-east'] as const) {
    await rig.replicas[region].stop();
    rig.replicas[region] = await rig.replicas[region].again(more[region]);
  }
  instance = new URL(rig.replicas['eu-west'].admin).host;
  const admins = Object.values(rig.replicas).map(({ admin }) => admin);
  watch = await AlertWatch.start({ 'heliograph-master': [rig.master.url], 'heliograph-replica': admins });
}

describeWith('redis', 'alerts about gateways', () =>
  describeWith('prometheus', 'with Prometheus', () => {
    beforeAll(begin);
    afterAll(async () => {
      clearInterval(traffic);
      await watch?.stop();
      await rig?.stop();
      collector?.close();
      collector?.closeAllConnections();
      for (const server of [slow, dark?.server]) await server?.close();
      await redis?.stop();
    });

    it('are asked of replicas that are there', async () => {
      const both = async (): Promise<boolean> => (await watch.series('heliograph_replica_info')) === 2;
      await until(both, { what: 'both replicas to be scraped' });
      await watch.clears('HeliographReplicaDown', {});
    });

    describe('and their upstreams', () => {
      const region = { region: 'us-east' };

      it('HeliographErrorRatio, -UpstreamDown, -UpstreamSlow, -TargetUnhealthy: until upstreams are well again', async () => {
        const apis = ['weather', 'slow', 'shaky', 'dark'];
        traffic = setInterval(() => apis.map((api) => call(`/${api}/v1/today`)), 150);
        const target = `http://127.0.0.1:${dark.port}`;
        await Promise.all([
          watch.fires('HeliographErrorRatio', region),
          watch.fires('HeliographUpstreamDown', region),
          watch.fires('HeliographUpstreamSlow', region),
          watch.fires('HeliographTargetUnhealthy', { ...region, api: 'dark:v1' }),
        ]);
        expect(
          (await watch.fires('HeliographTargetUnhealthy', { ...region, api: 'dark:v1' })).labels['target'],
        ).toContain(target);
        slow.fault = undefined;
        dark.server = await recordingUpstream(dark.port);
        await Promise.all([
          watch.clears('HeliographErrorRatio', region),
          watch.clears('HeliographUpstreamDown', region),
          watch.clears('HeliographUpstreamSlow', region),
          watch.clears('HeliographTargetUnhealthy', region),
        ]);
      });
    });

    // side by side: each is about another part, and has to wait for minutes of the rules' time
    describe.concurrent('and what they lose, refuse, show and ask', () => {
      it('HeliographConnectionsRefused: more connections than there may be, until they end', async () => {
        const { port } = new URL(rig.replicas['us-east'].gateway);
        let sockets: Socket[] = [];
        let crowding: Repeated | undefined;
        const leave = (): void => sockets.forEach((socket) => void socket.destroy());
        await watch.firesAndClears(
          'HeliographConnectionsRefused',
          { region: 'us-east' },
          () => {
            crowding = repeatedly(() => {
              leave();
              sockets = Array.from({ length: MAX_CONNECTIONS * 3 }, () =>
                connect(Number(port), '127.0.0.1').on('error', () => undefined),
              );
            });
          },
          () => crowding?.stop().finally(leave),
        );
      });

      it('HeliographObservationLost: more spans than are kept and no collector, until there is one', async () => {
        await watch.firesAndClears(
          'HeliographObservationLost',
          { instance },
          async () => {
            for (let n = 0; n < MANY; n += 10)
              await Promise.all(Array.from({ length: 10 }, () => call('/weather/v1/today', 'eu-west')));
          },
          () => {
            collector = createServer((request, response) => request.resume().on('end', () => response.end('{}')));
            collector.listen(collectorPort, '127.0.0.1');
          },
        );
      });

      it('HeliographCertificateEnds: one of a week, until it is replaced', async () => {
        const { annotations } = await watch.firesAndClears(
          'HeliographCertificateEnds',
          { instance },
          () => writeCertificate('one', 7),
          () => writeCertificate('one', 60),
        );
        expect(annotations['summary']).toMatch(/ends in 6d 23h/);
      });

      it('HeliographCertificateFaulty: half of a key, until it is whole', async () => {
        await watch.firesAndClears(
          'HeliographCertificateFaulty',
          { instance },
          () => writeFileSync(join(certificates, 'other.key'), '-----BEGIN PRIVATE KEY-----\n'),
          () => writeCertificate('other', 60),
        );
      });

      it('HeliographLimitsLocal: Redis is killed, until it is back', async () => {
        const { annotations } = await watch.firesAndClears(
          'HeliographLimitsLocal',
          { region: 'us-east' },
          () => redis.kill(),
          () => redis.again(),
        );
        expect(annotations['summary']).toContain('without the Redis of us-east');
      });
    });

    // side by side: one is about workers of the one region, the other about that of the other
    describe.concurrent('and their workers', () => {
      it('HeliographWorkerSilent: a worker that is stopped, until it goes on', async () => {
        const pid = await workerOf('eu-west');
        const { labels } = await watch.firesAndClears(
          'HeliographWorkerSilent',
          { instance },
          () => pauseProcess(pid),
          () => process.kill(pid, 'SIGCONT'),
        );
        expect(labels['process']).toMatch(/^worker-[12]$/);
      });

      it('HeliographWorkerCrashLoop, -EventLoopLate: killed again and again, then it gets half of its time, until all is well', async () => {
        const region = { region: 'us-east' };
        let fault: Repeated | undefined;
        await watch.firesAndClears(
          'HeliographWorkerCrashLoop',
          region,
          () => void (fault = repeatedly(killWorker)),
          async () => {
            await fault?.stop();
            await watch.firesAndClears('HeliographEventLoopLate', region, starve, () => fault?.stop());
          },
        );
        async function killWorker(): Promise<void> {
          const pid = await workerOf('us-east');
          process.kill(pid, 'SIGKILL');
          await until(async () => (await workerOf('us-east')) !== pid, { what: 'another worker' });
        }
        async function starve(): Promise<void> {
          const pid = await workerOf('us-east');
          fault = repeatedly(async () => {
            process.kill(pid, 'SIGSTOP');
            await sleep(300);
            process.kill(pid, 'SIGCONT');
          });
        }
      });
    });

    it('HeliographReplicaDown, -RegionGone: the one of a region that was killed, until there is another one', async () => {
      const region = { region: 'eu-west', environment: 'prod' };
      await watch.firesAndClears(
        'HeliographReplicaDown',
        { instance },
        async () => {
          rig.replicas['eu-west'].kill('SIGKILL');
          await rig.replicas['eu-west'].exited;
        },
        async () => {
          await watch.fires('HeliographRegionGone', region);
          await rig.restartReplica('eu-west');
          await watch.clears('HeliographRegionGone', region);
        },
      );
    });

    it('have every series by then that the dashboard asks for, but those of refused artifacts', async () => {
      const empty: string[] = [];
      const queries = dashboardQueries();
      for (const { panel, query } of queries)
        if (!query.includes('refused_artifacts') && (await watch.series(query)) === 0) empty.push(`${panel}: ${query}`);
      expect(empty).toEqual([]);
      expect(queries.length).toBeGreaterThan(50);
    });
  }),
);
