import { describe, expect, it } from 'vitest';
import { parseRedisUrl } from './redis-address.js';

describe('REDIS_URL', () => {
  it.each([
    ['redis://localhost', { kind: 'single', hosts: [{ host: 'localhost', port: 6379 }], tls: false, password: null }],
    ['redis://:p%40ss:w@10.0.0.1:7000/3', { password: 'p@ss:w', username: null, database: 3 }],
    ['rediss://helio:secret@redis.internal', { tls: true, username: 'helio', password: 'secret' }],
    ['redis://[::1]:6380', { hosts: [{ host: '::1', port: 6380 }] }],
    [
      'redis+sentinel://u:p@a,b:26380/main/2',
      {
        kind: 'sentinel',
        master: 'main',
        database: 2,
        hosts: [
          { host: 'a', port: 26379 },
          { host: 'b', port: 26380 },
        ],
      },
    ],
    [
      'rediss+cluster://a:1,b:2',
      {
        kind: 'cluster',
        tls: true,
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
      },
    ],
  ])('%s is understood', (text, expected) => {
    expect(parseRedisUrl(text)).toMatchObject(expected);
  });

  it.each([
    ['http://localhost', /must be redis:/],
    ['localhost:6379', /must be redis:/],
    ['redis://u:hunter2@a,b', /names several servers/],
    ['redis+sentinel://u:hunter2@a', /must end with the name/],
    ['redis+cluster://u:hunter2@a/1', /only one/],
    ['redis://u:hunter2@a:99999', /its server 1 is not host:port/],
    ['redis://u:hunter2@a,', /its server 2 is not host:port/],
    ['redis://u:hunter2@a/x', /number of a database/],
    ['redis://u:hunter2%@a', /"%"/],
    ['redis://u:hunter/2@a', /./],
    ['redis://hunter2@a', /user without a password/],
  ])('%s is refused with a reason, and without its password', (text, reason) => {
    expect(() => parseRedisUrl(text)).toThrow(reason);
    expect(() => parseRedisUrl(text)).not.toThrow(/hunter/);
  });
});
