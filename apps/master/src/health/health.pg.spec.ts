import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { headName, newSigningKeyPem, sealHead, signerFromPem } from '#artifacts';
import { until } from '#harness';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

const stranger = signerFromPem(newSigningKeyPem());
let app: StartedApp;
beforeEach(async () => {
  app = await startApp();
});
afterEach(() => app.stop());

/** `/readyz` once it is as `wanted`. */
const ready = (wanted: (answer: CallAnswer) => boolean, what: string): Promise<CallAnswer> =>
  until(
    async () => {
      const answer = await app.call('GET', '/readyz');
      return wanted(answer) && answer;
    },
    { what },
  );

describe('/readyz', () => {
  it('is 503, and names the environment, when its chain is signed with another key than this master has', async () => {
    const before = await ready(({ status }) => status === 200, 'it to be ready');
    expect(before.body).toMatchObject({ signingKey: 'ok' });
    // as it is after a master with that key has led it
    await app.source.query(`INSERT INTO chain (environment_id, public_key) VALUES ('prod', $1)`, [stranger.publicKey]);
    await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
    const { body } = await ready(({ status }) => status === 503, 'it to be unready');
    expect(body).toMatchObject({
      status: 'unavailable',
      database: 'ok',
      signingKey: expect.stringMatching(/^refused: prod is signed with another key; start this master with the key/),
      environments: [{ leader: false, error: expect.stringContaining(`the key ${stranger.keyId.toString('hex')}`) }],
    });
  });

  it('names a head in the store that somebody else has signed', async () => {
    const head = { environment: 'prod', epoch: 1, revision: 0, hash: '00'.repeat(32), root: '00'.repeat(32) };
    mkdirSync(join(app.storeDirectory, 'prod'), { recursive: true });
    const bytes = sealHead({ ...head, snapshot: null, issuedAt: 0, expiresAt: 1 }, stranger);
    writeFileSync(join(app.storeDirectory, headName('prod')), bytes);
    await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
    const { body } = await ready(
      (answer) => answer.body.environments[0]?.store?.state === 'conflict',
      'the conflict to be told',
    );
    expect(body.environments[0].store.error).toContain(`signed by the key ${stranger.keyId.toString('hex')}`);
  });
});
