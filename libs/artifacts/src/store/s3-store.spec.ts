import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { everyCall, failureOf } from '../testing/store-conformance.js';
import type { ArtifactStore } from './artifact-store.js';
import { openStore } from './open-store.js';

/**
 * What the servers that run in the other suites do not do: answers of AWS, of proxies, of servers without conditions.
 */
describe('S3 store, answers of other servers', () => {
  let server: Server;
  let store: ArtifactStore;
  let requests: { method: string; headers: IncomingMessage['headers'] }[];
  let answer: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

  beforeEach(async () => {
    requests = [];
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        requests.push({ method: request.method ?? '', headers: request.headers });
        answer(request, response, Buffer.concat(chunks));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    store = openStore('s3://bucket/prefix', {
      s3: { endpoint: `http://127.0.0.1:${port}`, accessKey: 'access', secretKey: 'hidden-secret' },
      timeoutMs: 5_000,
    });
  });
  afterEach(async () => {
    await store.close();
    server.closeAllConnections();
    server.close();
  });

  const refusals = [
    [503, 'SlowDown', 'store_unreachable', true],
    [503, 'XMinioServerNotInitialized', 'store_unreachable', true],
    [500, 'InternalError', 'store_failed', true],
    [507, 'XMinioStorageFull', 'store_full', true],
    [400, 'XMinioAdminBucketQuotaExceeded', 'store_full', true],
    [403, 'QuotaExceeded', 'store_full', true],
    [403, 'AccessDenied', 'store_denied', false],
    [403, 'RequestTimeTooSkewed', 'store_denied', false],
    [400, 'AuthorizationHeaderMalformed', 'store_denied', false],
    [400, 'RequestTimeout', 'store_timeout', true],
    [301, 'PermanentRedirect', 'store_failed', false],
    [400, 'InvalidRequest', 'store_failed', false],
  ] as const;
  it.each(refusals)('takes %i %s for %s', async (status, code, expected, retriable) => {
    answer = (_, response) => {
      const secrets = '<AWSAccessKeyId>access</AWSAccessKeyId><StringToSign>hidden-secret</StringToSign>';
      const text = `<Error><Code>${code}</Code><Message>what it says</Message>${secrets}</Error>`;
      response.writeHead(status, { 'content-type': 'application/xml' }).end(text);
    };
    const calls = everyCall(store, 'a');
    for (const call of calls) {
      const error = await failureOf(call());
      expect(error).toMatchObject({ code: expected, retriable });
      expect(error.message).toMatch(/^s3:\/\/bucket\/prefix at http:\/\/127.0.0.1:\d+: a: \d+ \w+; what it says/);
      expect(inspect(error)).not.toMatch(/hidden|StringToSign/);
    }
    // Each was sent once: it is for the caller to know when it is worth another try.
    expect(requests).toHaveLength(calls.length);
  });

  it('does not take any 404 for an empty store', async () => {
    answer = (_, response) => response.writeHead(404).end('<html>404 page not found</html>');
    await expect(store.get('a', 9)).rejects.toThrow('404; the answer is not from an S3 server; see S3_ENDPOINT');
    await expect(store.get('a', 9)).rejects.toMatchObject({ code: 'store_failed' });
    await expect(store.create('a', Buffer.from('x'))).rejects.toMatchObject({ code: 'store_failed' });
  });

  it('reads no more than a little of an endless error page', async () => {
    answer = (_, response) => {
      response.writeHead(502);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', more);
      more();
    };
    await expect(store.get('a', 9)).rejects.toMatchObject({ code: 'store_unreachable' });
    await expect(store.create('a', Buffer.from('x'))).rejects.toMatchObject({ code: 'store_unreachable' });
  });

  it('stops at the limit where the length was not said', async () => {
    answer = (_, response) => {
      response.writeHead(200, { etag: '"tag"' });
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', more);
      more();
    };
    await expect(store.get('a', 100_000)).rejects.toMatchObject({ code: 'store_too_large', retriable: false });
  });

  it('does not take an object that ended early, said to be longer or sent in chunks', async () => {
    answer = (_, response) => {
      response.writeHead(200, { etag: '"tag"', 'content-length': '100' });
      response.write('short', () => response.destroy());
    };
    await expect(store.get('a', 1_000)).rejects.toMatchObject({ retriable: true });
    answer = (_, response) => {
      response.writeHead(200, { etag: '"tag"' });
      response.write('short', () => response.destroy());
    };
    await expect(store.get('a', 1_000)).rejects.toMatchObject({ retriable: true });
  });

  it('says so of a server that does not tag objects', async () => {
    answer = (_, response) => response.writeHead(200).end('bytes');
    await expect(store.get('a', 1_000)).rejects.toThrow('does not tag objects');
    await expect(store.create('a', Buffer.from('x'))).rejects.toThrow('does not tag objects');
  });

  it('sends a write again that AWS did not judge because another one was under way', async () => {
    answer = (_, response) => {
      if (requests.length < 3) response.writeHead(409).end('<Error><Code>ConditionalRequestConflict</Code></Error>');
      else response.writeHead(200, { etag: '"tag"' }).end();
    };
    expect(await store.create('a', Buffer.from('x'))).toBe('created');
    expect(requests.map(({ headers }) => headers['if-none-match'])).toEqual(['*', '*', '*']);
  });

  describe('without conditions', () => {
    const objects = new Map<string, Buffer>();
    const tagOf = (bytes: Buffer): string => `"${bytes.toString('hex')}"`;
    const serve = (request: IncomingMessage, response: ServerResponse, body: Buffer): void => {
      const key = new URL(request.url ?? '', 'http://x').pathname;
      const bytes = objects.get(key);
      if (request.method === 'PUT') {
        objects.set(key, body);
        response.writeHead(200, { etag: tagOf(body) }).end();
      } else if (request.method === 'DELETE') {
        objects.delete(key);
        response.writeHead(204).end();
      } else if (bytes) {
        response.writeHead(200, { etag: tagOf(bytes) }).end(bytes);
      } else {
        response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
      }
    };
    const servers = [
      ['ignores', serve],
      [
        'rejects',
        (request: IncomingMessage, response: ServerResponse, body: Buffer) => {
          const conditional =
            request.headers['if-match'] ?? (request.method === 'PUT' && request.headers['if-none-match']);
          if (!conditional) serve(request, response, body);
          else response.writeHead(501).end('<Error><Code>NotImplemented</Code></Error>');
        },
      ],
    ] as const;

    it.each(servers)('says so of a server that %s them, and looks before it writes', async (_, serves) => {
      objects.clear();
      answer = serves;
      expect(await store.probe()).toEqual({ createOnly: false, ifMatch: false });
      expect(objects.size).toBe(0);
      expect(await store.create('a', Buffer.from('one'))).toBe('created');
      expect(await store.create('a', Buffer.from('two'))).toBe('exists');
      const first = await store.get('a', 9);
      expect(first?.bytes.toString()).toBe('one');
      expect(await store.replace('a', Buffer.from('two'), null)).toEqual({ kind: 'conflict' });
      expect(await store.replace('a', Buffer.from('two'), first?.etag ?? '')).toMatchObject({ kind: 'replaced' });
      expect(await store.replace('a', Buffer.from('late'), first?.etag ?? '')).toEqual({ kind: 'conflict' });
      expect((await store.get('a', 9))?.bytes.toString()).toBe('two');
    });
  });
});
