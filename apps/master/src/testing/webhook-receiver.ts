import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { until } from '#harness';
import type { EventView } from '../events/event-kinds.js';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  event: EventView;
}

/** Somebody who is told of events. What it answers can be changed while it runs. */
export class WebhookReceiver {
  readonly received: Received[] = [];
  /** answers a request; default: 204 */
  answer: (one: Received, response: ServerResponse) => void = (_, response) => void response.writeHead(204).end();

  private constructor(
    readonly url: string,
    readonly close: () => void,
  ) {}

  static async start(port = 0, address = '127.0.0.1'): Promise<WebhookReceiver> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        const one = { path: request.url ?? '', headers: request.headers, body, event: JSON.parse(body) as EventView };
        receiver.received.push(one);
        receiver.answer(one, response);
      });
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, address, resolve));
    const receiver = new WebhookReceiver(`http://${address}:${(server.address() as AddressInfo).port}`, () => {
      server.close();
      server.closeAllConnections();
    });
    return receiver;
  }

  at(path: string): Received[] {
    return this.received.filter((one) => one.path === path);
  }

  /** Waits until a path has been asked so often. */
  async count(path: string, n: number): Promise<Received[]> {
    await until(() => this.at(path).length >= n, {
      what: `${n} requests at ${path}, not ${this.at(path).length}`,
      within: 30_000,
    });
    return this.at(path);
  }
}

/** By the library that receivers use. @throws when the request is not signed by the secret */
export function verified({ headers, body }: Received, secret: string): EventView {
  return new Webhook(secret).verify(body, headers as Record<string, string>) as EventView;
}
