import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REGIONS, Rig } from './rig.js';

interface OAuthClient {
  id: string;
  secret: string;
  path: string;
}

let rig: Rig;
let application: string;
let client: OAuthClient;

beforeAll(async () => {
  rig = await Rig.start();
  const routes = [
    { method: 'GET', path: '/read' },
    { method: 'GET', path: '/write', scopes: ['weather:write'] },
  ];
  const api = await rig.publish('weather', { security: 'key-or-jwt', routes, scopes: ['weather:read'] });
  ({ application } = await rig.consumer(api));
  client = await newClient();
});
afterAll(() => rig?.stop());

async function newClient(): Promise<OAuthClient> {
  const body = { environment: 'prod', scopes: ['weather:read', 'weather:write'] };
  const made = await rig.master.client.post(`/v1/applications/${application}/clients`, body);
  await rig.everywhere(made.headers.get('heliograph-revision') ?? '');
  const { id, secret } = made.body;
  return { id, secret, path: `/v1/applications/${application}/clients/${id}` };
}

async function tokenOf({ id, secret }: OAuthClient, scope?: string): Promise<string> {
  const response = await fetch(`${rig.master.url}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) }),
  });
  const { access_token: token } = (await response.json()) as { access_token: string };
  return token;
}

/** What all regions say, which is the same. */
async function said(path: string, token: string): Promise<string> {
  const answers = await Promise.all(REGIONS.map((region) => rig.call(region, path, token)));
  return [...new Set(answers.map(({ status, code }) => `${status} ${code ?? ''}`.trim()))].join(', ');
}

/** A write, after which nothing is waited for but its answer. */
async function provably(path: string, body: object): Promise<void> {
  const { status } = await rig.master.client.post(`${path}?applied=all`, body, { headers: { prefer: 'wait=30' } });
  expect(status).toBeLessThan(202);
}

describe('tokens of the master, in two regions', () => {
  it('are taken everywhere, for the scopes that they have, and the upstream sees none', async () => {
    const [whole, reading] = [await tokenOf(client), await tokenOf(client, 'weather:read')];
    expect([await said('/weather/v1/read', whole), await said('/weather/v1/write', whole)]).toEqual(['200', '200']);
    expect(await said('/weather/v1/read', reading)).toBe('200');
    expect(await said('/weather/v1/write', reading)).toBe('403 insufficient_scope');
    expect(rig.upstream.requests.length).toBeGreaterThan(5);
    expect(JSON.stringify(rig.upstream.requests)).not.toContain(whole);
  });

  it('R6 are refused everywhere once the answer to a write says so: one of them, all until now, the client', async () => {
    const [one, other] = [await tokenOf(client), await tokenOf(client)];
    const both = async (): Promise<string[]> => [
      await said('/weather/v1/read', one),
      await said('/weather/v1/read', other),
    ];
    expect(await both()).toEqual(['200', '200']);
    await provably('/v1/environments/prod/revoked-tokens', { token: one });
    expect(await both()).toEqual(['401 credential_revoked', '200']);
    await provably(`${client.path}/revoke-tokens`, {});
    expect(await both()).toEqual(['401 credential_revoked', '401 credential_revoked']);
    const later = await tokenOf(client);
    expect(await said('/weather/v1/read', later)).toBe('200');
    await provably(`${client.path}/revoke`, {});
    expect(await said('/weather/v1/read', later)).toBe('401 credential_unknown');
  });

  it('R7 are verified without the master', async () => {
    const token = await tokenOf(await newClient());
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    expect(await said('/weather/v1/write', token)).toBe('200');
    expect(await said('/weather/v1/write', `${token.slice(0, -4)}AAAA`)).toBe('401 credential_invalid');
    await rig.replicas['eu-west'].stop();
    await rig.restartReplica('eu-west');
    expect(await said('/weather/v1/write', token)).toBe('200');
  });
});
