import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { good } from '../../testing/answers.js';
import { type StartedApp, startApp } from '../../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
  await good(app.call('POST', '/v1/environments', { id: 'prod', position: 1 }));
});
afterAll(() => app?.stop());

// answers have fields of many shapes
// oxlint-disable-next-line typescript/no-explicit-any
async function imported(...lines: object[]): Promise<any[]> {
  const text = lines.map((line) => JSON.stringify(line)).join('\n');
  const answer = await good(app.call('POST', '/v1/import', text, { 'content-type': 'application/x-ndjson' }));
  return String(answer)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const bytes = createHash('sha256').update('a-key-of-another-gateway').digest();
const key = { kind: 'key', application: 'crm', environment: 'prod' };
const bounds = { scopes: ['orders:read', 'orders:write'], ips: ['192.0.2.0/24', '2001:db8::/32'] };

describe('an imported key', () => {
  it('has the scopes, addresses and end of its line, and is the same in any form of its hash', async () => {
    const full = { ...key, ...bounds, expiresAt: '2040-01-01T00:00:00Z' };
    const [, made] = await imported(
      { kind: 'application', id: 'crm', name: 'CRM' },
      { ...full, sha256: bytes.toString('hex') },
    );
    expect(made.outcome).toBe('created');
    const [row] = await app.source.query('SELECT application_id FROM api_key WHERE id = $1', [made.id]);
    const path = `/v1/applications/${row.application_id}/keys/${made.id}`;
    expect(await good(app.call('GET', path))).toMatchObject({ ...bounds, expiresAt: '2040-01-01T00:00:00.000Z' });
    const again = await imported(
      { ...full, sha256: bytes.toString('base64') },
      { ...full, scopes: bounds.scopes.toReversed(), sha256: bytes.toString('base64url') },
      { ...key, secret: 'a-key-of-another-gateway' },
    );
    expect(again.slice(0, 3).map(({ outcome, id }) => [outcome, id])).toEqual(Array(3).fill(['unchanged', made.id]));
  });

  it('that is there is not changed by a line that says otherwise', async () => {
    const line = { ...key, sha256: bytes.toString('hex') };
    const answers = await imported({ ...line, scopes: ['orders:read'] }, { ...line, ips: ['10.0.0.0/8'] }, line);
    expect(answers.slice(0, 3).map(({ code, errors, outcome }) => outcome ?? `${code} ${errors[0].field}`)).toEqual([
      'conflict scopes',
      'conflict ips',
      'unchanged',
    ]);
  });

  it('with a hash of another kind fails by itself, and the others are written', async () => {
    const good256 = createHash('sha256').update('another').digest('hex');
    const answers = await imported(
      { ...key, sha256: '9f0e1d2c' },
      { ...key, sha256: good256 },
      { ...key, sha256: '?' },
    );
    expect(answers.slice(0, 3).map(({ code, outcome, status }) => outcome ?? `${status} ${code}`)).toEqual([
      '422 key_hash_unsupported',
      'created',
      '400 invalid_request',
    ]);
  });

  it('without bounds beside ones with them keeps to itself', async () => {
    const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
    const made = await imported(
      { ...key, sha256: hashOf('plain') },
      { ...key, sha256: hashOf('bounded'), ...bounds, name: 'a "name", {with} all' },
      { ...key, sha256: hashOf('narrow'), ips: ['10.0.0.1'] },
    );
    const rows: { id: string; scopes: unknown; ips: unknown }[] = await app.source.query(
      'SELECT id, scopes, ips FROM api_key WHERE id = ANY ($1)',
      [made.slice(0, 3).map(({ id }) => id)],
    );
    const of = (at: number): unknown => rows.find(({ id }) => id === made[at].id);
    expect([of(0), of(1), of(2)]).toMatchObject([
      { scopes: null, ips: null },
      bounds,
      { scopes: null, ips: ['10.0.0.1'] },
    ]);
  });
});
