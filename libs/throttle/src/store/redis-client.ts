import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { RedisAddress } from './redis-address.js';

/** A server that takes connections and says nothing is left after this. */
const SILENT_MS = 5000;
const CONNECT_MS = 2000;
const RETRY_MS = 1000;

/**
 * A client that is connected, or connects by itself again and again. What cannot be sent at once is refused at once, and
 * nothing is sent twice: a token taken twice is lost.
 *
 * @param onError of connections; what fails rejects besides
 */
export async function redisClient(address: RedisAddress, onError: (error: Error) => void): Promise<Redis | Cluster> {
  // loaded here: gateway workers have no use for it
  const { Cluster, Redis } = await import('ioredis');
  const { kind, hosts, username, password, database, master, tls } = address;
  const again = (times: number): number =>
    Math.min(50 * 2 ** Math.min(times - 1, 5), RETRY_MS) * (0.75 + Math.random() / 4);
  const common = {
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_MS,
    socketTimeout: SILENT_MS,
    disableClientInfo: true,
    // One that is loading says so to any question, and is asked again soon. Of what a sentinel names it is read whether it is
    // a master still.
    enableReadyCheck: kind === 'sentinel',
    maxLoadingRetryTime: RETRY_MS,
    // it was a master, and is none any more: there is another one
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    retryStrategy: again,
  } satisfies RedisOptions;
  const client =
    kind === 'cluster'
      ? new Cluster(hosts, {
          redisOptions: common,
          enableOfflineQueue: false,
          clusterRetryStrategy: again,
          slotsRefreshTimeout: CONNECT_MS,
          // what fails is answered without the server meanwhile; nobody waits for a second attempt
          retryDelayOnFailover: 0,
          retryDelayOnClusterDown: 0,
          retryDelayOnTryAgain: 0,
          maxRedirections: 2,
          dnsLookup: tls ? (host, callback) => callback(null, host) : undefined, // certificates are for names
        })
      : new Redis(
          kind === 'sentinel'
            ? {
                ...common,
                db: database,
                sentinels: hosts,
                name: master ?? '',
                sentinelRetryStrategy: again,
                failoverDetector: true,
                ...(tls ? { sentinelTLS: {}, enableTLSForSentinelMode: true } : {}),
              }
            : { ...common, db: database, ...hosts[0] },
        );
  // of a cluster none of whose members answers, what one of them said: the error itself says only that
  client.on('error', (error: Error & { lastNodeError?: Error | null }) => onError(error.lastNodeError ?? error));
  // It asks a member of a cluster for a slot that is on its way there by a command of its own, whose failure nobody takes;
  // the question that follows it fails as well.
  client.on('+node', (node: Redis) => {
    const asking = node.asking.bind(node);
    node.asking = () => {
      const asked = asking();
      asked.catch(() => undefined);
      return asked;
    };
  });
  return client;
}
