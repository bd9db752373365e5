import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { openStore } from './open-store.js';

const s3 = { endpoint: 'http://127.0.0.1:9000', accessKey: 'hidden-access', secretKey: 'hidden-secret' };

describe('openStore', () => {
  it('describes a store by its address', () => {
    expect(openStore('file:///var/lib/store/').description).toBe('file:///var/lib/store');
    expect(openStore('file:///a%20b').description).toBe('file:///a%20b');
    expect(openStore('s3://bucket', { s3 }).description).toBe('s3://bucket');
    expect(openStore('s3://bucket/some/Prefix_1/', { s3 }).description).toBe('s3://bucket/some/Prefix_1');
  });

  it('keeps credentials out of what is printed of a store', () => {
    const store = openStore('s3://bucket/prefix', { s3 });
    expect(inspect(store, { depth: 9, showHidden: true }) + JSON.stringify(store)).not.toContain('hidden-');
  });

  it.each([
    ['', 'it is not a URL'],
    ['/var/lib/store', 'it is not a URL'],
    ['http://127.0.0.1/store', 'its scheme "http:" is unknown'],
    ['file://store/dir', 'file://store names a machine; a local directory has three slashes'],
    ['file:///a%2fb', 'its path cannot be used'],
    ['file:///a?x=1', 'it has a "?" or "#" part'],
    ['s3://', 'is not a bucket'],
    ['s3://Bucket', '"Bucket" is not a bucket: 3 to 63 lower-case letters'],
    ['s3://bucket:9000/x', '"bucket:9000" is not a bucket'],
    ['s3://bucket/a//b', 'its prefix "a//b" is not segments'],
    ['s3://bucket/.dot', 'its prefix ".dot" is not segments'],
    ['s3://hidden-access:hidden-secret@bucket/x', 'credentials do not belong into it'],
    ['file://hidden-access:hidden-secret@/x', /it is not a URL|credentials do not belong into it/],
  ])('refuses %j, and says what is wrong and what would be right', (url, message) => {
    expect(() => openStore(url, { s3 })).toThrow(message);
    expect(() => openStore(url, { s3 })).toThrow(
      /^the artifact store's address cannot be used: .*; expected file:\/\/\/directory or s3:\/\/bucket\/prefix$/,
    );
    expect(() => openStore(url, { s3 })).not.toThrow('hidden');
  });

  it.each([
    [undefined, 'needs S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY'],
    [{ ...s3, accessKey: '' }, 'needs S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY'],
    [{ ...s3, secretKey: '' }, 'needs S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY'],
    [{ ...s3, endpoint: '127.0.0.1:9000' }, 'S3_ENDPOINT is not of the form'],
    [{ ...s3, endpoint: 'ftp://host' }, 'S3_ENDPOINT is not of the form'],
    [{ ...s3, endpoint: 'http://host/path' }, 'S3_ENDPOINT is not of the form'],
    [{ ...s3, endpoint: 'http://hidden-access:hidden-secret@host' }, 'S3_ENDPOINT is not of the form'],
  ])('refuses S3 settings that cannot work (%#)', (settings, message) => {
    expect(() => openStore('s3://bucket', { s3: settings })).toThrow(message);
    expect(() => openStore('s3://bucket', { s3: settings })).not.toThrow('hidden');
  });

  it.each(['http://127.0.0.1:9', 'http://minio.invalid:9000/', 'https://s3.heliograph.invalid', 'http://[::1]:9'])(
    'takes the endpoint %s',
    async (endpoint) => {
      const store = openStore('s3://bucket', { s3: { ...s3, endpoint }, timeoutMs: 1 });
      await expect(store.get('a', 9)).rejects.toMatchObject({ name: 'StoreError', retriable: true });
      await expect(store.get('a', 9)).rejects.not.toThrow('Invalid endPoint');
    },
  );
});
