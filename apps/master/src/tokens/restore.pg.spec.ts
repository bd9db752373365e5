import { decodeJwt } from 'jose';
import { expect, it } from 'vitest';
import { clientKey, decodeClientRecord, decodeIssuerRecord, issuerKey, revokedTokenKey, TABLE } from '#model';
import { type MadeClient, newClient, oauth, onChain, tokenOf } from '../testing/oauth.js';
import { backUp, begin, keptOf, published, restore } from '../testing/restore-scene.js';
import type { StartedApp } from '../testing/start-app.js';

const ISSUER = 'http://localhost:0';

const obtains = async (app: StartedApp, { id, secret }: MadeClient): Promise<boolean> =>
  (await oauth(app, 'token', { grant_type: 'client_credentials', client_id: id, client_secret: secret })).status ===
  200;

it('R9 gives back no client, token, or key of tokens that was taken away after the backup', async () => {
  const app = await begin();
  const [gone, cut, kept] = [await newClient(app), await newClient(app), await newClient(app)];
  const [first] = (await app.call('GET', '/v1/environments/prod/token-keys')).body.items;
  const token = await tokenOf(app, kept);
  const backup = await backUp(app);
  await app.call('POST', `${gone.path}/revoke`);
  const { notBefore } = (await app.call('POST', `${cut.path}/revoke-tokens`)).body;
  await app.call('POST', '/v1/environments/prod/revoked-tokens', { token });
  expect((await app.call('POST', '/v1/environments/prod/token-keys/rotate', { emergency: true })).status).toBe(201);

  const restored = await restore(app, backup);
  await tokenOf(restored, kept); // by a key that is neither the leaked one nor the one that is lost
  await published(restored);
  const clients = await onChain(restored, TABLE.client);
  const clientOn = (client: MadeClient) => clients.get(clientKey(ISSUER, client.id).toString('hex'));
  expect(clientOn(gone)).toBeUndefined();
  expect(decodeClientRecord(clientOn(cut) ?? Buffer.of()).notBefore).toBe(Date.parse(notBefore) / 1000);
  expect(decodeClientRecord(clientOn(kept) ?? Buffer.of())).not.toHaveProperty('notBefore');
  const revoked = await onChain(restored, TABLE.revoked_token);
  expect([...revoked.keys()]).toEqual([revokedTokenKey(ISSUER, decodeJwt(token).jti ?? '').toString('hex')]);
  const issuer = (await onChain(restored, TABLE.jwks)).get(issuerKey(ISSUER).toString('hex')) ?? Buffer.of();
  expect(decodeIssuerRecord(issuer).keys.map(({ kid }) => kid)).not.toContain(first.kid);

  expect([await obtains(restored, gone), await obtains(restored, cut), await obtains(restored, kept)]).toEqual([
    false,
    true,
    true,
  ]);
  expect(await keptOf(restored)).toEqual(['client', 'token', 'token-key', 'tokens']);
});
