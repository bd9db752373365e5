import { expect } from 'vitest';
import type { CallAnswer, StartedApp } from './start-app.js';

export interface MadeClient {
  id: string;
  secret: string;
  application: string;
  /** `/v1/applications/.../clients/...` */
  path: string;
}

export async function newApplication(app: StartedApp): Promise<string> {
  const { status, body } = await app.call('POST', '/v1/applications', { name: 'crm' });
  expect(status).toBe(201);
  return body.id;
}

/** A client in `prod` with the scopes orders:read and orders:write, of an application of its own. */
export async function newClient(app: StartedApp, fields: object = {}): Promise<MadeClient> {
  const application = await newApplication(app);
  const path = `/v1/applications/${application}/clients`;
  const scopes = ['orders:read', 'orders:write'];
  const { status, body } = await app.call('POST', path, { environment: 'prod', scopes, ...fields });
  expect(status, JSON.stringify(body)).toBe(201);
  return { id: body.id, secret: body.secret, application, path: `${path}/${body.id}` };
}

export const basic = (id: string, secret: string): string =>
  `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`;

/** One request to an OAuth endpoint, without the admin's token. @param form as it is sent, or its parameters */
export async function oauth(
  app: Pick<StartedApp, 'url'>,
  path: string,
  form: string | Record<string, string>,
  headers: Record<string, string> = {},
): Promise<CallAnswer> {
  const response = await fetch(`${app.url}/oauth/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? '' : JSON.parse(text) };
}

/** A token of the client, for all of its scopes. */
export async function tokenOf(app: Pick<StartedApp, 'url'>, { id, secret }: MadeClient): Promise<string> {
  const answer = await oauth(app, 'token', { grant_type: 'client_credentials' }, { authorization: basic(id, secret) });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body.access_token;
}

/** What the chain of an environment says in a table, by key in hexadecimal. */
export async function onChain(
  { source }: StartedApp,
  table: number,
  environment = 'prod',
): Promise<Map<string, Buffer>> {
  const rows: { key: Buffer; value: Buffer }[] = await source.query(
    'SELECT key, value FROM published_entry WHERE environment_id = $1 AND table_id = $2',
    [environment, table],
  );
  return new Map(rows.map(({ key, value }) => [key.toString('hex'), value]));
}
