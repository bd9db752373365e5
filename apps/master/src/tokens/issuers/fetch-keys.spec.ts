import { generateKeyPairSync } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { fetchKeys, freshForMs, type IssuerSource, metadataUrls, retryInMs } from './fetch-keys.js';
import { guardedFetch } from './guarded-fetch.js';
import { Reachable } from '../../outbound/reachable.js';

const here = new Reachable(['127.0.0.0/8', '::1'], 'HELIO_ISSUER_NETWORKS');
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const jwk = (): object => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
const source = (issuer: string, more: Partial<IssuerSource> = {}): IssuerSource => ({
  issuer,
  jwksUri: null,
  algorithms: ['ES256'],
  etag: null,
  fetchedFrom: null,
  ...more,
});

describe('an address that keys may be fetched from', () => {
  it('is public, or named by the setting; http is for those alone', () => {
    const anywhere = new Reachable([], 'HELIO_ISSUER_NETWORKS');
    const refused = [
      '127.0.0.1', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255',
      '::1', '::', 'fe80::1', 'fc00::1', 'fd00:ec2::254', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '64:ff9b::7f00:1', '2002:7f00:1::', '2001::1', '2001:db8::1', 'ff02::1',
    ]; // biome-ignore format: a table
    for (const address of refused) expect(anywhere.problemOf(address, true), address).toContain('no public address');
    for (const address of ['8.8.8.8', '2606:4700::1111']) {
      expect(anywhere.problemOf(address, true)).toBeNull();
      expect(anywhere.problemOf(address, false)).toContain('http is for');
    }
    const named = new Reachable(['10.0.0.0/8', 'fd00::/8', '192.168.7.7'], 'HELIO_ISSUER_NETWORKS');
    for (const address of ['10.1.2.3', 'fd00::1', '192.168.7.7']) expect(named.problemOf(address, false)).toBeNull();
    for (const address of ['192.168.7.8', '127.0.0.1', '::1']) expect(named.problemOf(address, true)).not.toBeNull();
  });

  it('is never connected to when it is private, by whatever name', async () => {
    let asked = 0;
    const url = await serve((_, response) => {
      asked++;
      response.end('{}');
    });
    const { port } = new URL(url);
    const anywhere = new Reachable([], 'HELIO_ISSUER_NETWORKS');
    for (const host of [
      '127.0.0.1',
      'localhost',
      '127.1',
      '0x7f.0.0.1',
      '2130706433',
      '[::ffff:127.0.0.1]',
      '0.0.0.0',
      '[::1]',
    ])
      await expect(guardedFetch(`http://${host}:${port}/`, null, anywhere), host).rejects.toThrow('no public address');
    expect(asked).toBe(0);
    await guardedFetch(url, null, here);
    await guardedFetch(`http://localhost:${port}/`, null, here);
    expect(asked).toBe(2);
  });
});

describe('a fetch', () => {
  it('is bounded in bytes, follows redirects within its origin only, and takes JSON alone', async () => {
    const other = await serve((_, response) => response.end('{"stolen":1}'));
    const url = await serve((request, response) => {
      const to = (location: string): unknown => response.writeHead(302, { location }).end();
      if (request.url === '/moved') return to('/here');
      if (request.url === '/loop') return to('/loop');
      if (request.url === '/away') return to(`${other}/`);
      if (request.url === '/nowhere') return response.writeHead(302).end();
      if (request.url === '/large') return response.end(`"${'x'.repeat(300 * 1024)}"`);
      if (request.url === '/broken')
        return response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy());
      if (request.url === '/text') return response.end('<html>');
      if (request.url === '/gone') return response.writeHead(404).end('x'.repeat(100_000));
      return response.end('{"is":"here"}');
    });
    expect((await guardedFetch(`${url}/moved`, null, here)).json).toEqual({ is: 'here' });
    const fault = async (path: string): Promise<string> =>
      guardedFetch(`${url}${path}`, null, here).then(
        () => 'none',
        (error: unknown) => `${(error as Error).constructor.name} ${(error as Error).message}`,
      );
    for (const path of ['/loop', '/away', '/nowhere']) expect(await fault(path)).toContain('redirects where');
    expect(await fault('/large')).toContain('more than 256 KiB');
    expect(await fault('/broken')).toMatch(/^Unavailable/);
    expect(await fault('/text')).toContain('is not JSON');
    expect(await fault('/gone')).toMatch(/^OtherStatus .* answered 404/);
    await expect(guardedFetch('file:///etc/passwd', null, here)).rejects.toThrow('no http or https URL');
    await expect(guardedFetch('http://user:pass@127.0.0.1/', null, here)).rejects.toThrow('user or a password');
    await expect(guardedFetch('http://127.0.0.1:1/', null, here)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('keys of an issuer', () => {
  it('are found by OpenID Connect Discovery, or else by RFC 8414', async () => {
    expect(metadataUrls('https://id.example.com/tenant/')).toEqual([
      'https://id.example.com/tenant/.well-known/openid-configuration',
      'https://id.example.com/.well-known/oauth-authorization-server/tenant',
    ]);
    for (const path of ['/tenant/.well-known/openid-configuration', '/.well-known/oauth-authorization-server/tenant']) {
      const url: string = await serve((request, response) => {
        if (request.url === path) response.end(JSON.stringify({ issuer: `${url}/tenant`, jwks_uri: `${url}/keys` }));
        else if (request.url === '/keys') response.end(JSON.stringify({ keys: [{ ...jwk(), kid: 'one' }] }));
        else response.writeHead(404).end();
      });
      const { found, fetchedFrom } = await fetchKeys(source(`${url}/tenant`), here);
      expect([fetchedFrom, found?.keys]).toMatchObject([`${url}/keys`, [{ kid: 'one', alg: 'ES256' }]]);
    }
  });

  it('are not taken from the metadata of another issuer', async () => {
    const url: string = await serve((_, response) =>
      response.end(JSON.stringify({ issuer: `${url}/`, jwks_uri: `${url}/keys` })),
    );
    await expect(fetchKeys(source(url), here)).rejects.toThrow('name it exactly so');
  });

  it('are asked for by their ETag where they come from the same place', async () => {
    const seen: (string | undefined)[] = [];
    const url = await serve((request, response) => {
      seen.push(request.headers['if-none-match']);
      response.setHeader('etag', '"v1"').setHeader('cache-control', 'public, max-age=600');
      if (request.headers['if-none-match'] === '"v1"') response.writeHead(304).end();
      else response.end(JSON.stringify({ keys: [jwk()] }));
    });
    const first = await fetchKeys(source(url, { jwksUri: `${url}/keys` }), here);
    expect(first).toMatchObject({ etag: '"v1"', maxAge: 600, found: { refused: [] } });
    const before = { jwksUri: `${url}/keys`, etag: '"v1"', fetchedFrom: `${url}/keys` };
    expect((await fetchKeys(source(url, before), here)).found).toBeNull();
    expect((await fetchKeys(source(url, { ...before, fetchedFrom: `${url}/old` }), here)).found).not.toBeNull();
    expect(seen).toEqual([undefined, '"v1"', undefined]);
  });

  it('are looked at again as the issuer says, within bounds, and sooner after a failure', () => {
    const middle = (): number => 0.5;
    expect([null, 0, 600, 86_400].map((age) => freshForMs(age, middle) / 1000)).toEqual([900, 300, 600, 3600]);
    expect([1, 2, 3, 20].map((failures) => retryInMs(failures, () => 0.999999) / 1000)).toEqual([15, 30, 60, 900]);
  });
});
