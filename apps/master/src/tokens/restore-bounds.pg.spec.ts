import { expect, it } from 'vitest';
import { until } from '#harness';
import { clientKey, decodeClientRecord, decodeIssuerRecord, decodeKeyRecord, issuerKey, TABLE } from '#model';
import { good } from '../testing/answers.js';
import { newApplication, newClient, onChain } from '../testing/oauth.js';
import { backUp, begin, keptOf, provider, published, restore } from '../testing/restore-scene.js';
import type { CallAnswer, StartedApp } from '../testing/start-app.js';

const anyVersion = { 'if-match': '*' };
const RULES = { audiences: ['a', 'b'], claim: 'azp', algorithms: ['ES256', 'RS256'] };

/** An issuer that is trusted, and how to bind clients of it. */
async function trusted(app: StartedApp) {
  const { url: issuer, kids } = await provider();
  const body = { issuer, jwksUri: `${issuer}/keys`, ...RULES };
  const { id } = await good(app.call('POST', '/v1/environments/prod/issuers', body));
  const bind = async (application: string, clientId: string, more: object = {}): Promise<string> => {
    const path = `/v1/applications/${application}/outside-clients`;
    const view = await good(app.call('POST', path, { environment: 'prod', issuer, clientId, ...more }));
    return `${path}/${view.id}`;
  };
  return { issuer, kids, path: `/v1/environments/prod/issuers/${id}`, bind };
}

it('R9 gives back no outside client, token of one, or issuer that was taken away after the backup', async () => {
  const app = await begin();
  const [first, second] = [await newApplication(app), await newApplication(app)];
  const [kept, deleted] = [await trusted(app), await trusted(app)];
  const revoked = await kept.bind(first, 'revoked');
  const moved = await kept.bind(first, 'moved');
  const cut = await kept.bind(first, 'cut');
  const again = await kept.bind(first, 'again');
  await deleted.bind(first, 'theirs');
  const backup = await backUp(app);
  for (const path of [revoked, moved, again]) await good(app.call('POST', `${path}/revoke`));
  await kept.bind(second, 'moved');
  await kept.bind(first, 'again', { scopes: ['little'] });
  const { notBefore } = await good(app.call('POST', `${cut}/revoke-tokens`));
  expect((await app.call('DELETE', deleted.path)).status).toBe(204);
  kept.kids.splice(0, 1);
  await good(app.call('POST', `${kept.path}/refresh`));
  await good(app.call('PATCH', kept.path, { audiences: ['b'], algorithms: ['ES256'], claim: 'client_id' }, anyVersion));

  const restored = await restore(app, backup);
  await published(restored);
  const clients = await onChain(restored, TABLE.client);
  const on = (issuer: string, id: string) => clients.get(clientKey(issuer, id).toString('hex'));
  expect(on(kept.issuer, 'revoked')).toBeUndefined();
  expect(on(kept.issuer, 'moved')).toBeUndefined(); // the one who has it now is not known here
  expect(on(deleted.issuer, 'theirs')).toBeUndefined();
  expect(decodeClientRecord(on(kept.issuer, 'cut') ?? Buffer.of()).notBefore).toBe(Date.parse(notBefore) / 1000);
  expect(decodeClientRecord(on(kept.issuer, 'again') ?? Buffer.of()).scopes).toEqual(['little']);
  const issuers = await onChain(restored, TABLE.jwks);
  expect(issuers.has(issuerKey(deleted.issuer).toString('hex'))).toBe(false);
  const record = decodeIssuerRecord(issuers.get(issuerKey(kept.issuer).toString('hex')) ?? Buffer.of());
  expect(record).toMatchObject({ audience: ['b'], algorithms: ['ES256'], claim: 'client_id' });
  expect(record.keys.map(({ kid }) => kid)).toEqual(['second']);
  const statuses = (await good(restored.call('GET', `/v1/applications/${first}/outside-clients`))).items;
  expect(Object.fromEntries(statuses.map(({ clientId, status }: CallAnswer['body']) => [clientId, status]))).toEqual({
    revoked: 'revoked',
    moved: 'revoked',
    cut: 'active',
    again: 'active',
  });
  expect(await keptOf(restored)).toEqual([
    'client',
    'client',
    'client',
    'client-bounds',
    'issuer',
    'issuer-rules',
    'token-key',
    'token-key', // with the deleted issuer
    'token-key',
    'tokens',
  ]);
});

it('R9 gives no key and no client back what it was allowed before it was narrowed', async () => {
  const app = await begin();
  const application = await newApplication(app);
  const keys = `/v1/applications/${application}/keys`;
  const wide = { scopes: ['a', 'b'], ips: ['10.0.0.0/8', '192.0.2.1'] };
  const issue = (fields: object): Promise<CallAnswer['body']> =>
    good(app.call('POST', keys, { environment: 'prod', ...fields }));
  const [scoped, placed, widened] = [await issue(wide), await issue({}), await issue(wide)];
  const client = await newClient(app, wide);
  const backup = await backUp(app);
  const patch = (path: string, body: object) => good(app.call('PATCH', path, body, anyVersion));
  await patch(`${keys}/${scoped.id}`, { scopes: [] });
  await patch(`${keys}/${scoped.id}`, { scopes: ['b', 'c'] });
  await patch(`${keys}/${placed.id}`, { ips: ['192.0.2.1'] });
  await patch(`${keys}/${widened.id}`, { scopes: ['a', 'b', 'c'], ips: null });
  await patch(client.path, { scopes: ['b'], ips: ['192.0.2.1'] });

  const restored = await restore(app, backup);
  await published(restored);
  const chain = await onChain(restored, TABLE.key);
  const rows: { id: string; key: string }[] = await restored.source.query(
    `SELECT id, encode(chain_id, 'hex') AS key FROM api_key`,
  );
  const on = ({ id }: { id: string }) =>
    decodeKeyRecord(chain.get(rows.find((row) => row.id === id)?.key ?? '') ?? Buffer.of());
  expect(on(scoped)).toMatchObject({ scopes: ['b', 'c'], ips: wide.ips });
  expect(on(placed)).toMatchObject({ ips: ['192.0.2.1'] });
  expect(on(widened)).toMatchObject(wide); // what was given after the backup is lost, as all else
  const clients = await onChain(restored, TABLE.client);
  const [record] = [...clients.values()].map(decodeClientRecord);
  expect(record).toMatchObject({ scopes: ['b'], ips: ['192.0.2.1'] });
  expect(await keptOf(restored)).toEqual(['client-bounds', 'key-bounds', 'key-bounds']);
});

it('R9 leaves a revoked key that has expired since as it is, and revokes the one beside it', async () => {
  const app = await begin();
  const keys = `/v1/applications/${await newApplication(app)}/keys`;
  const expiresAt = new Date(Date.now() + 4_000).toISOString();
  const expired = await good(app.call('POST', keys, { environment: 'prod', expiresAt }));
  const lasting = await good(app.call('POST', keys, { environment: 'prod' }));
  const backup = await backUp(app);
  for (const { id } of [expired, lasting]) await good(app.call('POST', `${keys}/${id}/revoke`));
  const isOver = async () => (await app.source.query('SELECT now() >= $1 AS over', [expired.expiresAt]))[0].over;
  await until(isOver, { what: 'the key to expire' });

  const restored = await restore(app, backup);
  await published(restored);
  expect(await good(restored.call('GET', `${keys}/${expired.id}`))).toMatchObject({ status: 'expired' });
  expect(await good(restored.call('GET', `${keys}/${lasting.id}`))).toMatchObject({ status: 'revoked' });
  expect(await keptOf(restored)).toEqual(['key']);
});
