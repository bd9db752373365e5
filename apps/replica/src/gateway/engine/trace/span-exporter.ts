import { Agent as HttpAgent, type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, type Logger } from '#platform';
import { type Attribute, type Span, spansOf, type TracedRequest } from './spans.js';

/** Where spans go, and who they are of. */
export interface ExportOptions {
  /** of the collector, with its path: `http://collector:4318/v1/traces` */
  url: string;
  headers: Readonly<Record<string, string>>;
  resource: Attribute[];
  /** that spans wait at most, for others to go with them */
  delayMs?: number;
}

/** What may wait, the batch that is on its way not counted; as OpenTelemetry's own exporters have it. */
const QUEUE = 2048;
const BATCH = 512;
const DELAY_MS = 5000;
const ANSWER_MS = 10_000;
const ANSWER_BYTES = 64 * 1024;
const ATTEMPTS = 5;
const RETRY_BASE_MS = 1000;
const RETRY_MAX_MS = 30_000;
/** By OTLP the only ones after which the same may be sent again. */
const PASSING = new Set([429, 502, 503, 504]);

type Sent = 'taken' | 'passing' | 'refused';

/**
 * Sends spans to a collector by OTLP over HTTP, in JSON: in batches, one at a time, beside the requests. A collector that is
 * slow, full or gone costs spans, which are counted, and a bounded queue.
 */
export class SpanExporter {
  exported = 0;
  dropped = 0;
  private readonly waiting: Span[] = [];
  private readonly agent: HttpAgent;
  private readonly timer: NodeJS.Timeout;
  private running: Promise<void> | null = null;
  private trouble = false;
  private readonly closing = new AbortController();

  constructor(
    private readonly options: ExportOptions,
    private readonly log: Logger,
  ) {
    const keep = { keepAlive: true, maxSockets: 1 };
    this.agent = options.url.startsWith('https:') ? new HttpsAgent(keep) : new HttpAgent(keep);
    this.timer = setInterval(() => this.start(), options.delayMs ?? DELAY_MS).unref();
  }

  add(request: TracedRequest): void {
    const spans = spansOf(request);
    if (this.waiting.length + spans.length > QUEUE) {
      this.dropped += spans.length;
      return;
    }
    this.waiting.push(...spans);
    if (this.waiting.length >= BATCH) this.start();
  }

  /** Sends what waits, for so long at most, and nothing more. */
  async close(withinMs: number): Promise<void> {
    clearInterval(this.timer);
    this.start();
    const late = setTimeout(() => this.closing.abort(), withinMs);
    await this.running;
    clearTimeout(late);
    this.closing.abort();
    this.agent.destroy();
  }

  private start(): void {
    if (this.waiting.length > 0) this.running ??= this.run();
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, BATCH);
      if (!(await this.deliver(batch))) this.dropped += batch.length;
      if (this.closing.signal.aborted) {
        this.dropped += this.waiting.length;
        this.waiting.length = 0;
      }
    }
    this.running = null;
  }

  /** @returns false: it is lost */
  private async deliver(batch: readonly Span[]): Promise<boolean> {
    const { resource } = this.options;
    const scopeSpans = [{ scope: { name: 'heliograph' }, spans: batch }];
    const body = JSON.stringify({ resourceSpans: [{ resource: { attributes: resource }, scopeSpans }] });
    const { signal } = this.closing;
    for (let attempt = 0; attempt < ATTEMPTS && !signal.aborted; attempt++) {
      const sent = await this.send(body, batch.length).catch((error: unknown) => this.tell('passing', error));
      if (sent !== 'passing') return sent === 'taken';
      if (attempt + 1 === ATTEMPTS) return false;
      const pauseMs = backoffMs(attempt, RETRY_BASE_MS, RETRY_MAX_MS, Math.random);
      await sleep(pauseMs, undefined, { ref: false, signal }).catch(() => undefined); // aborted: the loop ends
    }
    return false;
  }

  private send(body: string, count: number): Promise<Sent> {
    const { url, headers } = this.options;
    const options: RequestOptions = {
      method: 'POST',
      agent: this.agent,
      headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      signal: AbortSignal.any([this.closing.signal, AbortSignal.timeout(ANSWER_MS)]),
    };
    return new Promise((resolve, reject) => {
      const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, options, (response) => {
        readAll(response).then((text) => resolve(this.answered(response.statusCode ?? 0, text, count)), reject);
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  private answered(status: number, text: string, count: number): Sent {
    if (status < 200 || status > 299)
      return this.tell(PASSING.has(status) ? 'passing' : 'refused', new Error(`it answered ${status}`));
    const rejected = Math.min(count, rejectedOf(text));
    this.exported += count - rejected;
    this.dropped += rejected;
    if (this.trouble) this.log.info('the trace collector takes spans again');
    this.trouble = false;
    return 'taken';
  }

  /** Once for each time of trouble. */
  private tell(how: Sent, error: unknown): Sent {
    if (!this.trouble && !this.closing.signal.aborted)
      this.log.warn(
        { err: error, collector: this.options.url },
        'the trace collector does not take spans; some are lost',
      );
    this.trouble = true;
    return how;
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > ANSWER_BYTES) throw new Error('its answer is too long');
  }
  return text;
}

/** A collector may take a part of a batch. */
function rejectedOf(text: string): number {
  try {
    const answer = JSON.parse(text || '{}') as { partialSuccess?: { rejectedSpans?: string | number } };
    return Math.max(0, Number(answer.partialSuccess?.rejectedSpans ?? 0)) || 0;
  } catch {
    return 0; // 2xx is what counts
  }
}
