import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { LIMITS, MAX_HEADER_BYTES } from '#artifacts';
import { fail, HelioError, secretHash, STREAM_ACCEPTS, STREAM_PATH, STREAM_PROTOCOL, type TailWish } from '#model';
import type { ConnectedReplica } from '../fleet/connected-replica.js';
import type { Superseded } from '../fleet/write-places.js';
import type { Published, ReplicaAhead, ReplicaSupply } from '../publishing/index.js';
import { EnvironmentHub } from './environment-hub.js';
import type { StreamOptions } from './options.js';
import { answerAsUsual, refuseUpgrade } from './refuse-upgrade.js';
import { StreamChain } from './stream-chain.js';
import { StreamConnection } from './stream-connection.js';

const GOING_AWAY = 1001;
/** What sockets get to say goodbye when the process stops. */
const FAREWELL_MS = 1_500;
/** Revisions that one `want` asks for at the most, and as long as an answer was not larger than so many bytes. */
const MOST_WANTED = 64;
const WANTED_BYTES = 1024 * 1024;
/** For the next of them. */
const WANT_MS = 10_000;

interface StreamStanding {
  environment: string;
  connections: StreamConnection[];
  /** bytes of the newest revisions, in memory */
  heldBytes: number;
  /** in frames, since the process began */
  sentBytes: number;
  /** how many connections have ended, by reason */
  closed: ReadonlyMap<string, number>;
}

/** The live stream: replicas' WebSockets, on the server that has the REST API. What they have and it lacks, it can ask for. */
export class StreamServer implements ReplicaSupply {
  private readonly sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false, // signed bytes hardly shrink, and each connection would keep its own window
    maxPayload: LIMITS.bodyBytes + MAX_HEADER_BYTES,
    handleProtocols: () => STREAM_PROTOCOL,
  });
  private readonly hubs = new Map<string, EnvironmentHub>();
  private tellAhead: (environment: string) => void = () => undefined;
  private readonly chain: StreamChain;
  private timer: NodeJS.Timeout | undefined;
  private stopping = false;

  constructor(private readonly options: StreamOptions) {
    this.chain = new StreamChain(options.query);
  }

  /** Begins to take upgrades of `server`. */
  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      const isSocket = /(^|[\s,])websocket($|[\s,])/i.test(request.headers.upgrade ?? '');
      if (isSocket) void this.upgrade(request, socket, head);
      else answerAsUsual(server, request, socket, head);
    });
    this.timer = setInterval(() => void this.beat(), this.options.limits.heartbeatMs).unref();
  }

  published(published: Published): void {
    this.hubs.get(published.environment)?.published(published);
  }

  /** Told when a replica has revisions, or knows of an epoch, that the database does not have. */
  onAhead(listener: (environment: string) => void): void {
    this.tellAhead = listener;
  }

  ahead(environment: string, revision: number): ReplicaAhead[] {
    const connections = [...(this.hubs.get(environment)?.connections.values() ?? [])];
    return connections
      .flatMap(({ replica, claim }) =>
        claim && claim.revision > revision
          ? [{ replica: replica.id, epoch: claim.epoch, revision: claim.revision }]
          : [],
      )
      .sort((a, b) => b.revision - a.revision);
  }

  /** Asks for few at first, and for more as long as they are small: nothing of them was verified yet. */
  async *fetch(
    environment: string,
    replica: string,
    from: number,
    to: number,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    let next = from;
    for (let count = 1; next <= to && !signal.aborted; ) {
      const connection = this.hubs.get(environment)?.connections.get(replica);
      if (!connection) throw new Error(`the replica ${replica} is not connected to this master`);
      const asked = Math.min(count, to - next + 1);
      const frames = await connection.want(next, next + asked - 1, WANT_MS);
      yield* frames;
      if (frames.length < asked) return;
      const bytes = frames.reduce((sum, { length }) => sum + length, 0);
      next += asked;
      count = bytes < WANTED_BYTES ? Math.min(MOST_WANTED, count * 2) : 1;
    }
  }

  /** Connections that do not speak for their replicas any more: there is a newer one, or the token is refused. */
  part(superseded: readonly Superseded[]): void {
    for (const { replica, reason } of superseded) {
      const connection = this.hubs.get(replica.environment)?.connections.get(replica.id);
      if (connection?.replica.since === replica.since) connection.close(reason);
    }
  }

  /** Asks replicas of a region that are connected here for requests. @param replica null: all of them */
  tail(region: string, replica: string | null, wish: TailWish): void {
    for (const { connections } of this.hubs.values())
      for (const connection of connections.values())
        if (connection.replica.region === region && (replica ?? connection.replica.id) === connection.replica.id)
          connection.tail(wish);
  }

  /** By environment, for the metrics. */
  standings(): StreamStanding[] {
    return [...this.hubs.values()].map(({ environment, connections, heldBytes, sentBytes, closed }) => ({
      environment,
      connections: [...connections.values()],
      heldBytes,
      sentBytes,
      closed,
    }));
  }

  /** Parts with everybody; they connect to another master, or come back. */
  async stop(): Promise<void> {
    this.stopping = true;
    clearInterval(this.timer);
    const all = this.standings().flatMap(({ connections }) => connections);
    for (const connection of all) connection.end(GOING_AWAY, 'master_stops');
    const deadline = this.options.now() + FAREWELL_MS;
    while (this.standings().some(({ connections }) => connections.length > 0) && this.options.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }

  private async beat(): Promise<void> {
    await Promise.all([...this.hubs.values()].map((hub) => hub.beat()));
  }

  private async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    try {
      const replica = await this.admit(request);
      if (socket.destroyed) return;
      this.sockets.handleUpgrade(request, socket, head, (webSocket) => {
        const hub = this.hubOf(replica.environment);
        const { limits, fleet } = this.options;
        const connection = new StreamConnection(replica, webSocket, hub, limits, accepts(request, 'tail'));
        hub.join(connection);
        fleet.connected(replica);
        webSocket.on('close', () => {
          hub.leave(connection);
          fleet.disconnected(replica);
        });
      });
    } catch (error) {
      if (!(error instanceof HelioError))
        this.options.log.debug({ cause: (error as Error).message }, 'a replica cannot be let in; it comes again');
      refuseUpgrade(socket, error instanceof HelioError ? error : databaseAway());
    }
  }

  /** @throws HelioError why it may not connect */
  private async admit({ url, method, headers }: IncomingMessage): Promise<ConnectedReplica> {
    const path = url?.split('?')[0];
    if (path !== STREAM_PATH)
      throw fail('not_found', `there is no WebSocket at ${path}; the stream is at ${STREAM_PATH}`);
    if (method !== 'GET')
      throw fail('method_not_allowed', 'a WebSocket begins with GET', { headers: { allow: 'GET' } });
    const [, token] = /^Bearer +([\x21-\x7e]{1,512}) *$/i.exec(headers.authorization ?? '') ?? [];
    if (token === undefined)
      throw unauthenticated('the Authorization header is missing, or is not of the form "Bearer <token>"');
    const protocols = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!protocols.includes(STREAM_PROTOCOL)) {
      const problem = `"${protocols.join(', ').slice(0, 100)}" does not name ${STREAM_PROTOCOL}`;
      throw fail('invalid_request', `Sec-WebSocket-Protocol: ${problem}`, {
        fields: [{ field: 'Sec-WebSocket-Protocol', problem, expected: STREAM_PROTOCOL }],
      });
    }
    const tokenHash = secretHash(token);
    const [row] = await this.options.query<Omit<ConnectedReplica, 'tokenHash'>>(REPLICA, [tokenHash]);
    if (!row) throw unauthenticated('the token is not that of a replica which has joined');
    const refusal = this.stopping ? 'this master stops' : this.options.refusal(row.environment);
    if (refusal !== null)
      throw fail('chain_unavailable', `${refusal}; connect to another master, or later`, {
        headers: { 'retry-after': '1' },
      });
    return { ...row, tokenHash };
  }

  private hubOf(environment: string): EnvironmentHub {
    let hub = this.hubs.get(environment);
    if (!hub) {
      hub = new EnvironmentHub(environment, this.chain, this.options, () => this.tellAhead(environment));
      this.hubs.set(environment, hub);
    }
    return hub;
  }
}

const REPLICA = `
  SELECT r.id, r.region_id AS region, g.environment_id AS environment, clock_timestamp()::text AS since
  FROM replica r JOIN region g ON g.id = r.region_id WHERE r.token_hash = $1`;

function accepts({ headers }: IncomingMessage, what: string): boolean {
  const named = [headers[STREAM_ACCEPTS] ?? []].flat().join(',').split(',');
  return named.some((one) => one.trim() === what);
}

function unauthenticated(detail: string): HelioError {
  return fail('unauthenticated', detail, { headers: { 'www-authenticate': 'Bearer realm="heliograph"' } });
}

function databaseAway(): HelioError {
  return fail('database_unavailable', 'the database does not answer: who connects cannot be told', {
    headers: { 'retry-after': '1' },
  });
}
