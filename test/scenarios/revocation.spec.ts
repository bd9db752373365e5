import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { REGIONS, Rig } from './rig.js';

const PATH = '/weather/v1/today';
/** Answered when every replica has acknowledged the revision that carries the write. */
const APPLIED = { headers: { prefer: 'wait=30' }, status: 200 };

let rig: Rig;
let provider: Server;
let issuer: string;
let application: string;
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });

beforeAll(async () => {
  rig = await Rig.start();
  await rig.publish('weather', { security: 'key-or-jwt' });
  ({ application } = await rig.consumer('weather:v1'));
  const jwk = { ...keys.publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256' };
  provider = createServer((_, response) => response.end(JSON.stringify({ keys: [jwk] })));
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await rig?.stop();
  provider?.close().closeAllConnections();
});

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const apiKey = (key: string): Record<string, string> => ({ 'x-api-key': key });

/** What every region answers, several times over: each worker of each may be asked. */
async function answers(headers: Record<string, string>): Promise<Set<number>> {
  const asked = REGIONS.flatMap((region) => Array.from({ length: 20 }, () => rig.replicas[region].gateway + PATH));
  return new Set(await Promise.all(asked.map(async (url) => (await fetch(url, { headers })).status)));
}

async function admitted(headers: Record<string, string>): Promise<void> {
  const everywhere = async (): Promise<boolean> => [...(await answers(headers))].join() === '200';
  await until(everywhere, { what: 'every region to admit it' });
}

async function client(): Promise<{ id: string; path: string; token: () => Promise<string> }> {
  const { body } = await rig.master.client.post(`/v1/applications/${application}/clients`, { environment: 'prod' });
  const basic = Buffer.from(`${body.id}:${body.secret}`).toString('base64');
  const token = async (): Promise<string> => {
    const response = await fetch(`${rig.master.url}/oauth/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'grant_type=client_credentials',
    });
    const answer = (await response.json()) as { access_token?: string };
    if (!answer.access_token) throw new Error(`no token: ${response.status} ${JSON.stringify(answer)}`);
    return answer.access_token;
  };
  return { id: body.id, path: `/v1/applications/${application}/clients/${body.id}`, token };
}

describe('what was revoked is admitted by nobody once its write was answered with ?applied=all', () => {
  it('a key', async () => {
    const { body } = await rig.master.client.post(`/v1/applications/${application}/keys`, { environment: 'prod' });
    await admitted(apiKey(body.secret));
    await rig.master.client.post(`/v1/applications/${application}/keys/${body.id}/revoke?applied=all`, {}, APPLIED);
    expect(await answers(apiKey(body.secret))).toEqual(new Set([401]));
  });

  it('a client, and the tokens that it has', async () => {
    const { path, token } = await client();
    const held = bearer(await token());
    await admitted(held);
    await rig.master.client.post(`${path}/revoke?applied=all`, {}, APPLIED);
    expect(await answers(held)).toEqual(new Set([401]));
    await expect(token()).rejects.toThrow('invalid_client');
  });

  it('one token, and no other of its client', async () => {
    const { token } = await client();
    const [held, other] = [await token(), await token()];
    for (const each of [held, other]) await admitted(bearer(each));
    await rig.master.client.post('/v1/environments/prod/revoked-tokens?applied=all', { token: held }, APPLIED);
    expect(await answers(bearer(held))).toEqual(new Set([401]));
    expect(await answers(bearer(other))).toEqual(new Set([200]));
  });

  it('all tokens of a client before a time, and none that it obtains afterwards', async () => {
    const { path, token } = await client();
    const held = bearer(await token());
    await admitted(held);
    await rig.master.client.post(`${path}/revoke-tokens?applied=all`, {}, APPLIED);
    expect(await answers(held)).toEqual(new Set([401]));
    await admitted(bearer(await token()));
  });

  it('a client of an outside issuer, and the issuer itself', async () => {
    const trusted = { issuer, jwksUri: `${issuer}/keys`, audiences: ['weather'], claim: 'azp', algorithms: ['ES256'] };
    const { body: made } = await rig.master.client.post('/v1/environments/prod/issuers', trusted);
    const paths = await Promise.all(
      ['crm', 'erp'].map(async (clientId) => {
        const bound = { environment: 'prod', issuer, clientId };
        const path = `/v1/applications/${application}/outside-clients`;
        return `${path}/${(await rig.master.client.post(path, bound)).body.id}`;
      }),
    );
    const tokenOf = async (azp: string): Promise<Record<string, string>> =>
      bearer(
        await new SignJWT({ azp })
          .setProtectedHeader({ alg: 'ES256', kid: 'one', typ: 'JWT' })
          .setIssuer(issuer)
          .setAudience('weather')
          .setIssuedAt()
          .setExpirationTime('10m')
          .sign(keys.privateKey),
      );
    const [crm, erp] = [await tokenOf('crm'), await tokenOf('erp')];
    for (const each of [crm, erp]) await admitted(each);
    expect(await answers(await tokenOf('unknown'))).toEqual(new Set([401]));
    await rig.master.client.post(`${paths[0]}/revoke?applied=all`, {}, APPLIED);
    expect(await answers(crm)).toEqual(new Set([401]));
    expect(await answers(erp)).toEqual(new Set([200]));
    await rig.master.client.delete(`/v1/environments/prod/issuers/${made.id}?applied=all`, { ...APPLIED, status: 204 });
    expect(await answers(erp)).toEqual(new Set([401]));
  });
});
