import { afterAll, beforeAll, expect, it } from 'vitest';
import { deltaName, openStore } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { describeWith, helio, type S3Service, startMinio } from '#harness';
import { TABLE } from '#model';

describeWith('minio', 'helio verify of a bucket', () => {
  let service: S3Service;
  const chain = new ChainMaker('prod');
  const url = 's3://verified/chain';

  beforeAll(async () => {
    service = await startMinio();
    const store = openStore(url, { s3: service, create: true });
    for (let n = 1; n <= 4; n++)
      await chain.publish(store, [{ table: TABLE.plan, key: Buffer.from('gold'), value: Buffer.from(String(n)) }]);
    await chain.putSnapshot(store);
    await store.close();
  });
  afterAll(() => service?.stop());

  const verify = (): ReturnType<typeof helio> => {
    const { endpoint, accessKey, secretKey } = service;
    const env = { S3_ENDPOINT: endpoint, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey };
    return helio(['verify', url, '--environment', 'prod', '--trusted-keys', chain.signer.publicKey], { env });
  };

  it('proves it, and names what has gone from it', async () => {
    expect(await verify()).toMatchObject({ code: 0, stdout: expect.stringMatching(/^prod: proven\n/) });
    const store = openStore(url, { s3: service });
    await store.delete(deltaName('prod', 2));
    await store.close();
    expect(await verify()).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`${deltaName('prod', 2)}: missing`),
    });
  });
});
