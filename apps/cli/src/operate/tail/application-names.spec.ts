import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { MasterApi } from '../../api/master-api.js';
import { ApplicationNames } from './application-names.js';

const [named, gone] = ['0b7a9c51-5f6f-4a55-9d5e-6b0a3c1f2d4e', '7c9e6679-7425-40de-944b-e07fc1f90ae7'];

it('asks for the name of each application once, and shows the id of one that it cannot be told of', async () => {
  const asked: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    const isNamed = url.endsWith(named);
    response.writeHead(isNamed ? 200 : 404, {
      'content-type': isNamed ? 'application/json' : 'application/problem+json',
    });
    response.end(
      JSON.stringify(isNamed ? { id: named, name: 'CRM', owner: null, status: 'active' } : { code: 'not_found' }),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const names = new ApplicationNames(new MasterApi({ server: address, from: 'a test' }));
    for (const application of [named, gone, gone, named])
      expect(await names.of(application)).toBe(application === named ? 'CRM' : gone);
    expect(asked).toEqual([`/v1/applications/${named}`, `/v1/applications/${gone}`]);
  } finally {
    server.close();
  }
});
