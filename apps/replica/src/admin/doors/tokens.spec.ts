import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '#platform';
import { LocalCounterStore, systemClock } from '#throttle';
import { APPLICATION, applicationOp, definitionOf, placed } from '../../testing/gateway-ops.js';
import { MemoryState } from '../../testing/memory-state.js';
import { planOp } from '../../testing/sample-ops.js';
import { TokenIssuer } from '../../testing/token-issuer.js';
import { type AdminApp, listenAdmin } from '../admin-app.js';
import { Ask } from '../ask.service.js';
import type { Node } from '../node.js';

const log = createLog('test', 'silent');
const issuer = new TokenIssuer();
let memory: MemoryState;
let ask: Ask;
let app: AdminApp;
let url: string;

beforeEach(async () => {
  memory = new MemoryState();
  const routes = [
    { method: 'GET' as const, path: '/today' },
    { method: 'GET' as const, path: '/write', scopes: ['write'] },
  ];
  memory.apply(
    placed(definitionOf({ security: 'jwt', routes })),
    planOp('gold'),
    applicationOp({ 'weather:v1': 'gold' }),
    issuer.op(),
    issuer.clientOp(APPLICATION, { ips: ['192.0.2.0/24'] }),
  );
  ask = new Ask('eu-west', memory, new LocalCounterStore(systemClock), log);
  app = await listenAdmin({ node: {} as Node, ask, log, port: 0, host: '127.0.0.1' });
  url = `http://127.0.0.1:${app.port}`;
});

afterEach(async () => {
  await app.close();
  ask.close();
});

const auth = (token: string, path: string, address = '192.0.2.7'): Promise<Response> =>
  fetch(`${url}/auth`, {
    headers: {
      'x-forwarded-method': 'GET',
      'x-forwarded-uri': `/weather/v1/${path}`,
      'x-forwarded-for': address,
      authorization: `Bearer ${token}`,
    },
  });
const validate = async (token: string, path: string): Promise<unknown> => {
  const body = JSON.stringify({ method: 'GET', path: `/weather/v1/${path}`, token });
  const response = await fetch(`${url}/validate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  return response.json();
};

describe('tokens at the doors', () => {
  it('are admitted by /auth as the gateway would, with scopes and addresses', async () => {
    const token = issuer.token();
    const admitted = await auth(token, 'today');
    expect([admitted.status, admitted.headers.get('x-heliograph-application')]).toEqual([200, APPLICATION]);
    const lacking = await auth(token, 'write');
    expect([lacking.status, lacking.headers.get('x-heliograph-code')]).toEqual([403, 'insufficient_scope']);
    expect(lacking.headers.get('www-authenticate')).toBe(
      'Bearer realm="weather:v1", error="insufficient_scope", scope="write"',
    );
    expect((await auth(issuer.token({ scope: 'write' }), 'write')).status).toBe(200);
    expect((await auth(token, 'today', '198.51.100.1')).headers.get('x-heliograph-code')).toBe('ip_denied');
    expect((await auth(`${token}x`, 'today')).headers.get('x-heliograph-code')).toBe('credential_invalid');
  });

  it('are validated as long as the gateway reads them', async () => {
    const long = (characters: number): string => issuer.token({ pad: 'x'.repeat(characters) });
    expect(await validate(long(5600), 'today')).toMatchObject({ valid: true });
    expect(await validate(long(6100), 'today')).toMatchObject({ status: 400, code: 'invalid_request' });
  });

  it('are validated, and what was revoked is not valid from the next revision on', async () => {
    const token = issuer.token({ jti: 'one' });
    expect(await validate(token, 'today')).toMatchObject({ valid: true, application: APPLICATION, plan: 'gold' });
    expect(await validate(token, 'write')).toEqual({ valid: false, status: 403, code: 'insufficient_scope' });
    memory.apply(issuer.revokedOp('one'));
    expect(await validate(token, 'today')).toEqual({ valid: false, status: 401, code: 'credential_revoked' });
  });
});
