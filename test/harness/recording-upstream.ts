import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface RecordedRequest {
  method: string;
  /** path and query, as they arrived */
  url: string;
  headers: IncomingHttpHeaders;
  /** names and values as they arrived, in order */
  rawHeaders: string[];
  body: Buffer;
}

/** What the upstream does instead of, or before, answering. */
export type Fault =
  /** answers after this many milliseconds */
  | { kind: 'delay'; ms: number }
  /** answers with this status, the usual body, and these headers */
  | { kind: 'status'; status: number; headers?: Record<string, string> }
  /** breaks the connection, before the head or in the middle of the body */
  | { kind: 'reset'; at: 'head' | 'body' }
  /** bytes that are not HTTP */
  | { kind: 'garbage' }
  /** never answers */
  | { kind: 'hang' };

export interface RecordingUpstream {
  /** `http://127.0.0.1:<port>` */
  url: string;
  requests: RecordedRequest[];
  /** for all requests that are complete from now on; undefined: answers properly */
  fault: Fault | undefined;
  /** Ends the server and breaks its connections. */
  close: () => Promise<void>;
}

/** An HTTP server that keeps what it got, and answers 200 with the same as JSON: method, url, headers, body as text. */
export async function recordingUpstream(port = 0): Promise<RecordingUpstream> {
  const server = createServer((request, response) => {
    receive(request).then(
      (recorded) => {
        upstream.requests.push(recorded);
        return answer(response, recorded, upstream.fault);
      },
      () => response.destroy(), // the caller went away in the middle; nothing was received
    );
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const upstream: RecordingUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    fault: undefined,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return upstream;
}

async function receive(request: IncomingMessage): Promise<RecordedRequest> {
  const { method = '', url = '', headers, rawHeaders } = request;
  return { method, url, headers, rawHeaders, body: await buffer(request) };
}

async function answer(response: ServerResponse, request: RecordedRequest, fault: Fault | undefined): Promise<void> {
  const { method, url, headers, body } = request;
  const text = JSON.stringify({ method, url, headers, body: body.toString() });
  switch (fault?.kind) {
    case 'hang':
      return;
    case 'reset':
      if (fault.at === 'body') {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
        await new Promise<void>((resolve) => response.write(text.slice(0, 5), () => resolve()));
      }
      response.socket?.resetAndDestroy();
      return;
    case 'garbage':
      response.socket?.end('\x16\x03\x01 this is not HTTP\r\n\r\n');
      return;
    case 'delay':
      await new Promise((resolve) => setTimeout(resolve, fault.ms));
      break;
    case 'status':
    case undefined:
  }
  const { status, headers: more } = fault?.kind === 'status' ? fault : { status: 200, headers: undefined };
  response.writeHead(status, { 'content-type': 'application/json', ...more });
  response.end(text);
}
