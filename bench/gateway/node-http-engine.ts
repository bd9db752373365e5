/**
 * A gateway on node:http and undici, as a reference: the same `decide()` on the same state with the same counters, and the
 * least of an engine around it. It has no timeouts of its own, no retries and no bodies of requests: a real one is slower.
 *
 *   node dist/bench/gateway/node-http-engine.js <port> <state directory> <region> ['<FlexibleLimits as JSON>']
 *
 * With the last of them plans do not count: every request that may go on asks `rate-limiter-flexible` first, which asks Redis.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { LeaseBook, LocalCounterStore, systemClock } from '#throttle';
import { type Dispatcher, Pool } from 'undici';
import { CompiledState } from '../../apps/replica/src/gateway/decide/compile/compiled-state.js';
import { decide } from '../../apps/replica/src/gateway/decide/decide.js';
import { UNLIMITED } from '../../apps/replica/src/gateway/decide/take-tokens.js';
import type { Forward } from '../../apps/replica/src/gateway/decide/decision.js';
import { applyEdits } from '../../apps/replica/src/gateway/decide/header-edits.js';
import { type RequestHead, requestIdOf } from '../../apps/replica/src/gateway/decide/request-head.js';
import { openStateReader } from '../../apps/replica/src/state/state-reader.js';
import { type FlexibleLimiter, flexibleLimiter } from './flexible-limiter.js';
import type { FlexibleLimits } from './replica.js';

const [port, directory = '', region = '', flexible] = process.argv.slice(2);
const NONE: readonly string[] = [];
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'host']);
/** Of the time until the answer's head, in seconds. */
const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const SWEEP_MS = 250;

const state = new CompiledState(region);
state.refresh(openStateReader(directory).snapshot());
const leases = new LeaseBook(new LocalCounterStore(systemClock), systemClock.monotonicMs);
setInterval(() => leases.sweep(), SWEEP_MS);
const limiter = flexible === undefined ? null : flexibleLimiter(JSON.parse(flexible) as FlexibleLimits);
const pools = new Map<string, Pool>();
const histogram = Array.from({ length: BOUNDS.length + 1 }, () => 0);

class Exchange implements Dispatcher.DispatchHandler {
  private readonly startedAt = performance.now();
  private readonly head: RequestHead;
  private forward: Forward | null = null;

  constructor(
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {
    const values = (name: string): readonly string[] => request.headersDistinct[name] ?? NONE;
    this.head = {
      method: request.method ?? '',
      target: request.url ?? '',
      values,
      remoteAddress: request.socket.remoteAddress ?? '',
      requestId: requestIdOf(values('x-request-id'), randomUUID),
    };
  }

  decide(): void {
    const decision = decide(this.head, state, limiter ? UNLIMITED : leases, Date.now());
    if (decision.kind === 'wait') {
      void decision.fetch().then(() => this.decide());
    } else if (decision.kind === 'respond') {
      this.response.writeHead(decision.status, [...decision.headers]).end(decision.body);
    } else {
      this.forward = decision;
      if (limiter) this.ask(limiter, decision);
      else this.send(decision);
    }
  }

  private ask(limiter: FlexibleLimiter, decision: Forward): void {
    limiter(decision.consumer?.subscription ?? '').then(
      (retryMs) => {
        if (retryMs === 0) this.send(decision);
        else this.refuse(429, { 'Retry-After': Math.ceil(retryMs / 1000) });
      },
      () => this.refuse(503, {}), // Redis does not answer
    );
  }

  private refuse(status: number, headers: Record<string, number>): void {
    this.response.writeHead(status, { ...headers, 'Content-Length': 0 }).end();
  }

  private send(decision: Forward): void {
    const [target] = decision.api.upstream.targets;
    if (!target) throw new Error(`${decision.api.id} has no target`);
    let pool = pools.get(target.origin);
    if (!pool) pools.set(target.origin, (pool = new Pool(target.origin, { connections: 256, pipelining: 1 })));
    const { method, requestId, remoteAddress } = this.head;
    const host = this.request.headers.host ?? '';
    const headers = kept(this.request.rawHeaders, decision.withheld);
    headers.push('X-Request-Id', requestId, 'X-Forwarded-For', remoteAddress ?? '', 'X-Forwarded-Proto', 'http');
    headers.push('X-Forwarded-Host', host, 'Forwarded', `for=${remoteAddress};host=${host};proto=http`);
    const { requestEdits } = decision.route.policies;
    const edited = requestEdits ? applyEdits(headers, requestEdits) : headers;
    pool.dispatch({ method, path: target.path + decision.path, headers: edited }, this);
  }

  onRequestStart(): void {
    // undici asks for it
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const { rawHeaders } = controller;
    const { forward } = this;
    if (!forward || !Array.isArray(rawHeaders)) throw new Error('undici gives the head as a list');
    const headers = kept(rawHeaders.map(String), NONE);
    const { responseEdits } = forward.route.policies;
    const edited = responseEdits ? applyEdits(headers, responseEdits) : headers;
    this.response.writeHead(status, [...edited, ...forward.headers, 'X-Request-Id', this.head.requestId]);
    const seconds = (performance.now() - this.startedAt) / 1000;
    const bucket = BOUNDS.findIndex((bound) => seconds <= bound);
    const index = bucket === -1 ? BOUNDS.length : bucket;
    histogram[index] = (histogram[index] ?? 0) + 1;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.response.write(chunk);
  }

  onResponseEnd(): void {
    this.response.end();
  }

  onResponseError(): void {
    this.response.destroy();
  }
}

function kept(headers: readonly string[], withheld: readonly string[]): string[] {
  const result: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const lower = name.toLowerCase();
    if (!HOP_BY_HOP.has(lower) && !withheld.includes(lower)) result.push(name, headers[i + 1] as string);
  }
  return result;
}

const server = createServer({ keepAliveTimeout: 600_000, noDelay: true }, (request, response) => {
  if (request.url === '/observed') response.end(String(histogram.reduce((sum, count) => sum + count, 0)));
  else new Exchange(request, response).decide();
});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
process.on('SIGTERM', () => process.exit(0));
