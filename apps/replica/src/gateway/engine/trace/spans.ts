/** One attempt at an upstream. Times are monotonic milliseconds. */
export interface Attempt {
  spanId: string;
  origin: string;
  startedAt: number;
  /** -1: it is the last one */
  endedAt: number;
}

/** One request, as its spans tell it. Like the access log: never a query, a header or a credential. */
export interface TracedRequest {
  traceId: string;
  spanId: string;
  parentId: string;
  state: string;
  attempts: readonly Attempt[];
  method: string;
  scheme: string;
  path: string;
  address: string;
  requestId: string;
  /** 0: the client broke it off */
  status: number;
  code: string | null;
  api: string | null;
  /** method and path below the API's context */
  route: string | null;
  application: string | null;
  /** monotonic milliseconds; `answeredAt` below 0 where no upstream has */
  startedAt: number;
  answeredAt: number;
  endedAt: number;
  /** what to add to them for milliseconds since 1970 */
  epochMs: number;
}

type Value = { stringValue: string } | { intValue: string };
export interface Attribute {
  key: string;
  value: Value;
}

/** A span as OTLP writes it in JSON: ids in hexadecimal, 64-bit numbers as text. */
export interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  traceState?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: Attribute[];
  status: { code?: number };
}

const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;

/** The request as the gateway served it, and each attempt at an upstream below it. Names are those of OpenTelemetry's conventions. */
export function spansOf(request: TracedRequest): Span[] {
  const { traceId, spanId, parentId, state, status, code, method, attempts } = request;
  const failed = status === 0 ? 'aborted' : status >= 500 ? (code ?? String(status)) : null;
  const server: Span = {
    traceId,
    spanId,
    ...(parentId === '' ? {} : { parentSpanId: parentId }),
    ...(state === '' ? {} : { traceState: state }),
    name: request.route ?? method,
    kind: SERVER,
    startTimeUnixNano: nanos(request.startedAt, request),
    endTimeUnixNano: nanos(request.endedAt, request),
    attributes: attributesOf({
      'http.request.method': method,
      'url.scheme': request.scheme,
      'url.path': request.path,
      'http.route': request.route?.slice(request.route.indexOf(' ') + 1),
      'http.response.status_code': status || null,
      'error.type': failed,
      'client.address': request.address,
      'heliograph.api': request.api,
      'heliograph.application': request.application,
      'heliograph.code': code,
      'heliograph.request_id': request.requestId,
    }),
    status: failed === null ? {} : { code: ERROR },
  };
  return [server, ...attempts.map((attempt, index) => attemptSpan(request, attempt, index))];
}

function attemptSpan(request: TracedRequest, attempt: Attempt, index: number): Span {
  const { traceId, spanId: parentSpanId, state, method, status, code } = request;
  const { hostname, port, protocol } = new URL(attempt.origin);
  const answered = attempt.endedAt < 0 && request.answeredAt >= 0 && code === null;
  const failed = answered
    ? status >= 500
      ? String(status)
      : null
    : attempt.endedAt < 0
      ? (code ?? 'aborted')
      : 'retried';
  return {
    traceId,
    spanId: attempt.spanId,
    parentSpanId,
    ...(state === '' ? {} : { traceState: state }),
    name: method,
    kind: CLIENT,
    startTimeUnixNano: nanos(attempt.startedAt, request),
    endTimeUnixNano: nanos(attempt.endedAt < 0 ? request.endedAt : attempt.endedAt, request),
    attributes: attributesOf({
      'http.request.method': method,
      'server.address': hostname,
      'server.port': Number(port || (protocol === 'https:' ? 443 : 80)),
      'http.request.resend_count': index || null,
      'http.response.status_code': answered && status !== 0 ? status : null,
      'error.type': failed,
    }),
    status: failed === null ? {} : { code: ERROR },
  };
}

export function attributesOf(values: Record<string, string | number | null | undefined>): Attribute[] {
  const attributes: Attribute[] = [];
  for (const [key, value] of Object.entries(values)) {
    if (value === null || value === undefined) continue;
    attributes.push({
      key,
      value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value },
    });
  }
  return attributes;
}

/** Whole microseconds: more a number does not hold. */
function nanos(at: number, { epochMs }: TracedRequest): string {
  return `${Math.round((at + epochMs) * 1000)}000`;
}
