import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { inspect } from 'node:util';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { readerConformance, readingCalls } from '../testing/reader-conformance.js';
import { failureOf } from '../testing/store-conformance.js';
import type { ArtifactStore } from './artifact-store.js';
import { HttpReader } from './http-reader.js';
import { openStore } from './open-store.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const servers: Server[] = [];
const directory = mkdtempSync(join(tmpdir(), 'heliograph-http-reader-'));
afterEach(closeServers);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const store = (): ArtifactStore => openStore(pathToFileURL(join(directory, 'store')).href, { create: true });
const LIMIT = 1024;

/** The objects of a store, as a master or a replica passes them on. */
function passOn(from: ArtifactStore, tagged: boolean): Answer {
  return (request, response) => {
    const name = (request.url ?? '').replace('/chain/', '');
    void from.get(name, 64 * 1024 * 1024).then((object) => {
      if (!object) return response.writeHead(404).end();
      const tag = `"${object.etag}"`;
      const headers = { ...(tagged && { etag: tag }), 'content-length': object.bytes.length };
      if (tagged && request.headers['if-none-match'] === tag) return response.writeHead(304, { etag: tag }).end();
      return response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : object.bytes);
    });
  };
}

readerConformance('http', async () => {
  const objects = store();
  return { store: objects, reader: new HttpReader(await listen(passOn(objects, true), true)) };
});

readerConformance('http, from a server without tags and conditions', async () => {
  const objects = openStore(pathToFileURL(join(directory, 'untagged')).href, { create: true });
  return { store: objects, reader: new HttpReader(`${await listen(passOn(objects, false), true)}/`) };
});

describe('http reader', () => {
  const refusals = [
    [401, 'store_denied', false],
    [403, 'store_denied', false],
    [408, 'store_timeout', true],
    [429, 'store_unreachable', true],
    [500, 'store_failed', true],
    [502, 'store_unreachable', true],
    [503, 'store_unreachable', true],
    [504, 'store_timeout', true],
    [302, 'store_failed', false],
    [206, 'store_failed', false],
    [400, 'store_failed', false],
  ] as const;
  it.each(refusals)('takes status %i for %s, and shows none of its headers', async (status, code, retriable) => {
    const base = await listen((_, response) =>
      response.writeHead(status, { location: '/elsewhere' }).end('{"code":"why","detail":"in words"}'),
    );
    const reader = new HttpReader(base, { headers: { authorization: 'Bearer hidden' } });
    for (const call of readingCalls(reader, 'prod/head.json')) {
      const error = await failureOf(call());
      expect(error).toMatchObject({ code, retriable });
      expect(error.message).toContain(`${base}: prod/head.json: ${status}`);
      expect(inspect(error)).not.toContain('hidden');
    }
    await expect(reader.get('prod/head.json', LIMIT)).rejects.toThrow('why; in words');
    await reader.close();
  });

  it('sends its headers, asks for no encoding, and refuses one', async () => {
    let seen: IncomingMessage['headers'] = {};
    const base = await listen((request, response) => {
      seen = request.headers;
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'));
    });
    const reader = new HttpReader(base, { headers: { authorization: 'Bearer t' } });
    await expect(reader.get('a', LIMIT)).rejects.toMatchObject({ code: 'store_failed', retriable: false });
    expect(seen).toMatchObject({ authorization: 'Bearer t', 'accept-encoding': 'identity' });
    await reader.close();
  });

  it('gives up a server that does not answer, or stops in the middle', async () => {
    const silent: Answer = () => undefined;
    const stopping: Answer = (_, response) => response.writeHead(200, { 'content-length': 100 }).write('half');
    for (const answer of [silent, stopping]) {
      const reader = new HttpReader(await listen(answer), { timeoutMs: 200 });
      await expect(reader.get('a', LIMIT)).rejects.toMatchObject({ code: 'store_timeout', retriable: true });
      await reader.close();
    }
  });

  it('takes a body that is shorter than was said, and one that breaks off, for a failure that may pass', async () => {
    const short: Answer = (_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half');
      setImmediate(() => response.destroy());
    };
    const chunked: Answer = (_, response) => {
      response.writeHead(200).write('half');
      setImmediate(() => response.destroy());
    };
    for (const answer of [short, chunked]) {
      const reader = new HttpReader(await listen(answer));
      await expect(reader.get('a', LIMIT)).rejects.toMatchObject({ code: 'store_failed', retriable: true });
      await reader.close();
    }
  });

  it('reads no more than the limit of a body that has no end, or says that it has none', async () => {
    let sent = 0;
    const endless: Answer = (_, response) => {
      const more = (): void => {
        sent += 4096;
        if (!response.destroyed && sent < 64 * 1024 * 1024 && response.write(Buffer.alloc(4096))) setImmediate(more);
        else response.once('drain', more);
      };
      more();
    };
    const reader = new HttpReader(await listen(endless));
    await expect(reader.get('a', 100_000)).rejects.toMatchObject({ code: 'store_too_large', retriable: false });
    expect(sent).toBeLessThan(32 * 1024 * 1024);
    await reader.close();
  });

  it('says of a server that is gone, of one that speaks no HTTP, and of one without lengths what they are', async () => {
    const base = await listen(() => undefined);
    await closeServers();
    const gone = new HttpReader(base);
    for (const call of readingCalls(gone, 'a'))
      await expect(call()).rejects.toMatchObject({ code: 'store_unreachable', retriable: true });
    await gone.close();

    const garbage = await listen((request) => request.socket.end('not HTTP at all\r\n\r\n'));
    const reader = new HttpReader(garbage);
    for (const call of readingCalls(reader, 'a'))
      await expect(call()).rejects.toMatchObject({ code: 'store_unreachable', retriable: true });
    await reader.close();

    const unsized = new HttpReader(await listen((_, response) => response.writeHead(200).end()));
    await expect(unsized.size('a')).rejects.toThrow('does not say how large');
    await unsized.close();
  });

  it('takes only an address without credentials, and does not show what it refuses', () => {
    for (const base of [
      '',
      'hello',
      'ftp://host',
      'http://user:secret@host',
      'http://host/?token=secret',
      'http://h/#secret',
    ]) {
      const make = (): unknown => new HttpReader(base);
      expect(make).toThrow(expect.objectContaining({ code: 'store_bad_name' }));
      expect(make).not.toThrow(/secret/);
    }
  });
});

/** @param suite it outlives the test */
async function listen(answer: Answer, suite = false): Promise<string> {
  const server = createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  if (suite) afterAll(() => void server.close());
  else servers.push(server);
  const { port } = server.address() as { port: number };
  return `http://127.0.0.1:${port}/chain`;
}

async function closeServers(): Promise<void> {
  for (const server of servers.splice(0)) {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }
}
