import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REGIONS, Rig } from './rig.js';

interface TokenClient {
  id: string;
  secret: string;
  /** `/v1/applications/.../clients/...` */
  path: string;
}

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start();
  await rig.publish('orders', { security: 'jwt', scopes: ['orders:read'] });
});
afterAll(() => rig?.stop());

/** What is written so has been applied by every replica when it is answered. */
const proven = async (path: string, body: object = {}): Promise<Record<string, string>> => {
  const answer = await rig.master.client.post(`${path}?applied=all`, body, { headers: { prefer: 'wait=30' } });
  expect(answer.status).not.toBe(202);
  return answer.body;
};

async function newClient(scopes: string[]): Promise<TokenClient> {
  const { application } = await rig.consumer('orders:v1');
  const path = `/v1/applications/${application}/clients`;
  const { id = '', secret = '' } = await proven(path, { environment: 'prod', scopes });
  return { id, secret, path: `${path}/${id}` };
}

async function tokenFor({ id, secret }: TokenClient): Promise<string> {
  const form = { grant_type: 'client_credentials', client_id: id, client_secret: secret };
  const response = await fetch(`${rig.master.url}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
  const { access_token: token } = (await response.json()) as { access_token: string };
  expect(response.status).toBe(200);
  return token;
}

/** What each region's gateway says of a token: the status, and the code of a refusal. */
const asked = (token: string): Promise<string[]> =>
  Promise.all(
    REGIONS.map(async (region) => {
      const response = await fetch(`${rig.replicas[region].gateway}/orders/v1/1`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const { code } = response.ok ? { code: 'ok' } : ((await response.json()) as { code: string });
      return `${response.status} ${code}`;
    }),
  );
const everywhere = (answer: string): string[] => REGIONS.map(() => answer);

describe('an access token of the master', () => {
  it('is good in every region as soon as its client is applied there, for the scopes that it has', async () => {
    expect(await asked(await tokenFor(await newClient(['orders:read'])))).toEqual(everywhere('200 ok'));
    expect(await asked(await tokenFor(await newClient(['orders:write'])))).toEqual(
      everywhere('403 insufficient_scope'),
    );
  });

  it('is refused everywhere once that is proven to be applied: by itself, with the others, and with its client', async () => {
    const client = await newClient(['orders:read']);
    const [first, second] = [await tokenFor(client), await tokenFor(client)];
    await proven('/v1/environments/prod/revoked-tokens', { token: first });
    expect(await asked(first)).toEqual(everywhere('401 credential_revoked'));
    expect(await asked(second)).toEqual(everywhere('200 ok'));
    await proven(`${client.path}/revoke-tokens`);
    expect(await asked(second)).toEqual(everywhere('401 credential_revoked'));
    const third = await tokenFor(client);
    expect(await asked(third)).toEqual(everywhere('200 ok'));
    await proven(`${client.path}/revoke`);
    expect(await asked(third)).toEqual(everywhere('401 credential_unknown'));
  });

  it('is refused when its key was replaced in an emergency, and the next one is good at once', async () => {
    const client = await newClient(['orders:read']);
    const token = await tokenFor(client);
    expect(await asked(token)).toEqual(everywhere('200 ok'));
    await proven('/v1/environments/prod/token-keys/rotate', { emergency: true });
    expect(await asked(token)).toEqual(everywhere('401 credential_invalid'));
    expect(await asked(await tokenFor(client))).toEqual(everywhere('200 ok'));
  });

  it('stays good while its next key is announced, and while there is no master', async () => {
    const token = await tokenFor(await newClient(['orders:read']));
    await proven('/v1/environments/prod/token-keys/rotate');
    expect(await asked(token)).toEqual(everywhere('200 ok'));
    await rig.master.stop();
    expect(await asked(token)).toEqual(everywhere('200 ok'));
  });
});
