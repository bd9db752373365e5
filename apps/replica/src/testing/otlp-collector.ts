import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { z } from 'zod';

const id = (digits: number): z.ZodString => z.string().regex(new RegExp(`^(?!0+$)[0-9a-f]{${digits}}$`));
const nanos = z.string().regex(/^[1-9]\d{15,19}$/);
const attributes = z
  .array(
    z.strictObject({
      key: z.string().min(1),
      value: z.union([
        z.strictObject({ stringValue: z.string() }),
        z.strictObject({ intValue: z.string().regex(/^-?\d+$/) }),
      ]),
    }),
  )
  .transform((list) =>
    Object.fromEntries(
      list.map(({ key, value }) => [key, 'intValue' in value ? Number(value.intValue) : value.stringValue]),
    ),
  );
const span = z.strictObject({
  traceId: id(32),
  spanId: id(16),
  parentSpanId: id(16).optional(),
  traceState: z.string().min(1).optional(),
  name: z.string().min(1),
  kind: z.int().min(1).max(5),
  startTimeUnixNano: nanos,
  endTimeUnixNano: nanos,
  attributes,
  status: z.strictObject({ code: z.literal(2).optional() }),
});
/** What is sent to `/v1/traces`: opentelemetry-proto's ExportTraceServiceRequest, by its mapping to JSON. */
const traces = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes }),
      scopeSpans: z.array(z.strictObject({ scope: z.strictObject({ name: z.string() }), spans: z.array(span).min(1) })),
    }),
  ),
});
export type CollectedSpan = z.infer<typeof span>;

/** A collector for tests: decodes what comes, and answers as it is told. */
export class OtlpCollector {
  readonly spans: CollectedSpan[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  readonly faults: unknown[] = [];
  resource: Record<string, string | number> = {};
  /** null: it takes the request and never answers */
  answer: { status: number; body?: string } | null = { status: 200, body: '{}' };
  url = '';

  private constructor(private readonly server: Server) {}

  static async start(): Promise<OtlpCollector> {
    const server = createServer();
    const collector = new OtlpCollector(server);
    server.on('request', (request, response) => {
      void json(request)
        .then((body) => {
          collector.headers.push(request.headers);
          const { answer } = collector;
          if (answer === null) return;
          if (answer.status === 200) collector.take(`${request.method} ${request.url}`, body);
          response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
        })
        .catch((error: unknown) => {
          collector.faults.push(error);
          response.writeHead(400).end();
        });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    collector.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return collector;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private take(line: string, body: unknown): void {
    if (line !== 'POST /v1/traces') throw new Error(`not what a collector serves: ${line}`);
    for (const { resource, scopeSpans } of traces.parse(body).resourceSpans) {
      this.resource = resource.attributes;
      for (const { spans } of scopeSpans) this.spans.push(...spans);
    }
  }
}
