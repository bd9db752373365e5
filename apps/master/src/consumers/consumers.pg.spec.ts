import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isWellFormedKey } from '#model';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
const definition = {
  routes: [{ method: 'GET', path: '/today' }],
  upstream: { targets: [{ url: 'http://127.0.0.1:9' }] },
  security: 'key',
  plans: ['gold', 'silver'],
};

beforeAll(async () => {
  app = await startApp();
  await good(app.call('POST', '/v1/environments', { id: 'prod', position: 30 }));
  await good(app.call('POST', '/v1/environments', { id: 'dev', position: 10 }));
  for (const id of ['gold', 'silver', 'lead'])
    await good(app.call('POST', '/v1/plans', { id, rate: { limit: 10, per: 'second' } }));
  await good(app.call('POST', '/v1/apis', { name: 'weather', version: 'v1' }));
  await good(app.call('POST', '/v1/apis/weather:v1/releases', { definition }));
});
afterAll(() => app?.stop());

async function good(answer: Promise<CallAnswer>): Promise<CallAnswer['body']> {
  const { status, body } = await answer;
  expect(status, JSON.stringify(body)).toBeLessThan(300);
  return body;
}

const newApplication = async (name = 'crm'): Promise<string> =>
  (await good(app.call('POST', '/v1/applications', { name }))).id;

describe('plans', () => {
  it('are changed only by who has seen what they change', async () => {
    const first = await app.call('POST', '/v1/plans', { id: 'bronze', quota: { limit: 5, per: 'day' } });
    expect(first.status).toBe(201);
    expect(first.headers.get('etag')).toBe('"1"');
    expect(first.headers.get('heliograph-revision')).toMatch(/^dev@\d+, prod@\d+$/);
    const unseen = await app.call('PATCH', '/v1/plans/bronze', { rate: null });
    expect([unseen.status, unseen.body.code]).toEqual([428, 'precondition_required']);
    const changes = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        app.call('PATCH', '/v1/plans/bronze', { rate: { limit: i + 1, per: 'minute' } }, { 'if-match': '"1"' }),
      ),
    );
    expect(changes.filter((change) => change.status === 200)).toHaveLength(1);
    expect(changes.filter((change) => change.status === 412)).toHaveLength(9);
    for (const never of ['W/"2"', '"*"']) {
      const refused = await app.call('PATCH', '/v1/plans/bronze', { rate: null }, { 'if-match': never });
      expect(refused.status, never).toBe(412);
    }
    expect((await app.call('GET', '/v1/plans/bronze')).headers.get('etag')).toBe('"2"');
  });

  it('are refused with each fault named', async () => {
    const { status, body } = await app.call('POST', '/v1/plans', {
      id: 'Gold!',
      rate: { limit: 0, per: 'fortnight' },
      colour: 'red',
    });
    expect([status, body.code]).toEqual([400, 'invalid_request']);
    expect(body.errors.map((fault: { field: string }) => fault.field).sort()).toEqual([
      'colour',
      'id',
      'rate.limit',
      'rate.per',
    ]);
    expect((await app.call('POST', '/v1/plans', { id: 'gold' })).body.code).toBe('conflict');
  });

  it('that are in use are not deleted', async () => {
    const application = await newApplication();
    const subscription = await good(
      app.call('POST', '/v1/subscriptions', { application, api: 'weather:v1', plan: 'silver' }),
    );
    const refused = await app.call('DELETE', '/v1/plans/silver');
    expect([refused.status, refused.body.code]).toEqual([409, 'in_use']);
    expect(refused.body.detail).toContain(subscription.id);
  });
});

describe('subscriptions', () => {
  it('name what exists and what is offered', async () => {
    const application = await newApplication();
    const code = async (body: object): Promise<string> => {
      const answer = await app.call('POST', '/v1/subscriptions', {
        application,
        api: 'weather:v1',
        plan: 'gold',
        ...body,
      });
      return `${answer.status} ${answer.body.code} ${answer.body.errors?.[0]?.field ?? ''}`.trim();
    };
    expect(await code({ application: randomUUID() })).toBe('422 unknown_reference application');
    expect(await code({ api: 'weather:v2' })).toBe('422 unknown_reference api');
    expect(await code({ plan: 'platinum' })).toBe('422 unknown_reference plan');
    expect(await code({ plan: 'lead' })).toBe('422 unknown_reference plan');
    expect(await code({})).toBe('201 undefined');
    expect(await code({})).toBe('409 conflict');
  });
});

describe('keys', () => {
  it('show their secret once, and nothing keeps it', async () => {
    const application = await newApplication();
    const issued = await app.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod', name: 'ci' });
    expect(issued.status).toBe(201);
    expect(isWellFormedKey(issued.body.secret)).toBe(true);
    expect(issued.headers.get('heliograph-revision')).toMatch(/^prod@\d+$/);
    const shown = await good(app.call('GET', `/v1/applications/${application}/keys/${issued.body.id}`));
    expect(shown.secret).toBeUndefined();
    expect(shown.hint).toBe(issued.body.secret.slice(0, 12));
    const audit = await app.call('GET', `/v1/audit?target=key/${issued.body.id}`);
    expect(audit.body.items).toHaveLength(1);
    expect(audit.body.items[0].revisions).toEqual([issued.headers.get('heliograph-revision')]);
    expect(JSON.stringify(audit.body)).not.toContain(issued.body.secret);
  });

  it('that are asked for at the same moment are each issued, noted and published, or refused for a reason of its own', async () => {
    const [application, locked] = [await newApplication(), await newApplication()];
    const issue = (of: string, environment = 'prod'): Promise<CallAnswer> =>
      app.call('POST', `/v1/applications/${of}/keys`, { environment });
    const others = app.source.createQueryRunner();
    await others.startTransaction();
    await others.query('SELECT FROM application WHERE id = $1 FOR NO KEY UPDATE', [locked]);
    const waiting = issue(locked);
    const outcomes = await Promise.all([
      ...Array.from({ length: 12 }, (_, index) => issue(application, index % 2 ? 'prod' : 'dev')),
      issue(randomUUID()),
      issue(application, 'nowhere'),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([...Array.from({ length: 12 }, () => 201), 404, 422]);
    await others.commitTransaction(); // only now: a locked application held up nobody else's keys
    await others.release();
    for (const { body, headers } of [...outcomes.slice(0, 12), await waiting]) {
      const revision = headers.get('heliograph-revision');
      expect(revision).toMatch(new RegExp(`^${body.environment}@\\d+$`));
      const { items } = await good(app.call('GET', `/v1/audit?target=key/${body.id}`));
      expect(items).toMatchObject([
        { action: 'key.issue', requestId: headers.get('x-request-id'), revisions: [revision] },
      ]);
    }
  });

  it('R11 leave no secret anywhere in the database, also when an Idempotency-Key keeps the answer', async () => {
    const application = await newApplication();
    const issued = await app.call(
      'POST',
      `/v1/applications/${application}/keys`,
      { environment: 'prod' },
      { 'idempotency-key': 'r11' },
    );
    const again = await app.call(
      'POST',
      `/v1/applications/${application}/keys`,
      { environment: 'prod' },
      { 'idempotency-key': 'r11' },
    );
    expect(again.body).toEqual(issued.body);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.headers.get('heliograph-revision')).toBe(issued.headers.get('heliograph-revision'));
    const secret: string = issued.body.secret;
    const tables: { name: string }[] = await app.source.query(
      `SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public'`,
    );
    expect(tables.length).toBeGreaterThan(10);
    for (const { name } of tables) {
      const [found]: { n: string }[] = await app.source.query(
        `SELECT count(*) AS n FROM ${name} t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0`,
        [secret, Buffer.from(secret).toString('hex')],
      );
      expect(found?.n, name).toBe('0');
    }
  });

  it('rotate with an overlap, are revoked for ever, and are never confused', async () => {
    const application = await newApplication();
    const { body: old } = await app.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
    const next = await app.call('POST', `/v1/applications/${application}/keys/${old.id}/rotate`, {
      overlapSeconds: 3600,
    });
    expect(next.status).toBe(201);
    const rotated = await good(app.call('GET', `/v1/applications/${application}/keys/${old.id}`));
    expect(rotated.replacedBy).toBe(next.body.id);
    expect(rotated.status).toBe('active');
    expect(Math.abs(Date.parse(rotated.expiresAt) - Date.now() - 3_600_000)).toBeLessThan(60_000);
    expect((await app.call('POST', `/v1/applications/${application}/keys/${old.id}/rotate`, {})).body.code).toBe(
      'conflict',
    );
    const revoked = await good(
      app.call('POST', `/v1/applications/${application}/keys/${next.body.id}/revoke`, { reason: 'leaked' }),
    );
    expect([revoked.status, revoked.revokedReason]).toEqual(['revoked', 'leaked']);
    const twice = await good(app.call('POST', `/v1/applications/${application}/keys/${next.body.id}/revoke`));
    expect(twice.revokedAt).toBe(revoked.revokedAt);
    expect((await app.call('POST', `/v1/applications/${application}/keys/${next.body.id}/rotate`, {})).body.code).toBe(
      'conflict',
    );
    expect((await app.call('GET', `/v1/applications/${await newApplication()}/keys/${old.id}`)).status).toBe(404);
  });

  it('are listed page by page, each once', async () => {
    const application = await newApplication();
    await Promise.all(
      Array.from({ length: 7 }, () => app.call('POST', `/v1/applications/${application}/keys`, { environment: 'dev' })),
    );
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = await good(
        app.call('GET', `/v1/applications/${application}/keys?limit=3${cursor && `&cursor=${cursor}`}`),
      );
      seen.push(...page.items.map((item: { id: string }) => item.id));
      cursor = page.next ?? '';
    } while (cursor);
    expect(new Set(seen).size).toBe(7);
    const forged = Buffer.from('["yesterday","1"]').toString('base64url');
    expect((await app.call('GET', `/v1/applications/${application}/keys?cursor=${forged}`)).body.code).toBe(
      'invalid_request',
    );
    expect(seen).toHaveLength(7);
  });

  it('are refused with the field that is wrong', async () => {
    const application = await newApplication();
    const fieldOf = async (body: object): Promise<string> =>
      (await app.call('POST', `/v1/applications/${application}/keys`, body)).body.errors?.[0]?.field;
    expect(await fieldOf({ environment: 'nowhere' })).toBe('environment');
    expect(await fieldOf({ environment: 'prod', expiresAt: '2001-01-01T00:00:00Z' })).toBe('expiresAt');
    expect(await fieldOf({ environment: 'prod', expiresAt: 'tomorrow' })).toBe('expiresAt');
    expect(await fieldOf({ environment: 'prod', ttl: 5 })).toBe('ttl');
  });
});

describe('Idempotency-Key', () => {
  it('makes twenty requests at once one write, and refuses another request under the same key', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => app.call('POST', '/v1/applications', { name: 'once' }, headers)),
    );
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
    expect(answers.filter((answer) => answer.headers.get('idempotent-replayed') === 'true')).toHaveLength(19);
    const other = await app.call('POST', '/v1/applications', { name: 'other' }, headers);
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_mismatch']);
  });

  it('of a request that failed may be used again', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    expect((await app.call('POST', '/v1/applications', { name: '' }, headers)).status).toBe(400);
    expect((await app.call('POST', '/v1/applications', { name: 'good' }, headers)).status).toBe(201);
  });
});

describe('import', () => {
  const ndjson = { 'content-type': 'application/x-ndjson' };
  const linesOf = (text: string): Record<string, unknown>[] =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  it('answers every line, in order, and can be repeated', async () => {
    const sha256 = createHash('sha256').update('the key of another gateway').digest('hex');
    const body = [
      { kind: 'application', id: 'crm-42', name: 'CRM' },
      { kind: 'subscription', application: 'crm-42', api: 'weather:v1', plan: 'gold' },
      { kind: 'key', application: 'crm-42', environment: 'prod', sha256 },
      { kind: 'key', application: 'nobody', environment: 'prod', sha256: 'ab'.repeat(32) },
      { kind: 'key', application: 'crm-42', environment: 'prod' },
      { kind: 'subscription', application: 'crm-42', api: 'weather:v1', plan: 'lead' },
      { kind: 'user' },
    ].map((line) => JSON.stringify(line));
    const text = `${body.join('\n')}\nnot json\n\n${'x'.repeat(70_000)}\n`;
    const first = linesOf((await app.call('POST', '/v1/import', text, ndjson)).body);
    expect(first.slice(0, -1).map((line) => `${line['line']} ${line['outcome'] ?? line['code']}`)).toEqual([
      '1 created',
      '2 created',
      '3 created',
      '4 unknown_reference',
      '5 invalid_request',
      '6 conflict',
      '7 invalid_request',
      '8 malformed_json',
      '10 body_too_large',
    ]);
    expect(first.at(-1)?.['summary']).toMatchObject({ lines: 9, created: 3, failed: 6 });
    const again = linesOf((await app.call('POST', '/v1/import', text, ndjson)).body);
    expect(again.slice(0, 3).map((line) => line['outcome'])).toEqual(['unchanged', 'unchanged', 'unchanged']);
    expect(again.slice(0, 3).map((line) => line['id'])).toEqual(first.slice(0, 3).map((line) => line['id']));
  });

  it('takes thousands of keys and has them published when it ends', async () => {
    const lines = [JSON.stringify({ kind: 'application', id: 'bulk', name: 'Bulk' })];
    for (let i = 0; i < 5000; i++)
      lines.push(
        JSON.stringify({
          kind: 'key',
          application: 'bulk',
          environment: 'dev',
          sha256: createHash('sha256').update(`bulk ${i}`).digest('hex'),
        }),
      );
    const answers = linesOf((await app.call('POST', '/v1/import', lines.join('\n'), ndjson)).body);
    const summary = answers.at(-1)?.['summary'] as { created: number; revisions: string[] };
    expect(summary.created).toBe(5001);
    expect(summary.revisions[0]).toMatch(/^dev@\d+$/);
    const [row]: { n: string }[] = await app.source.query(
      `SELECT count(*) AS n FROM published_entry WHERE environment_id = 'dev' AND table_id = 5`,
    );
    expect(Number(row?.n)).toBeGreaterThanOrEqual(5000);
  });

  it('lets no line fail for the sake of another one, and changes no key that is there', async () => {
    const sha256 = createHash('sha256').update('kept').digest('hex');
    const key = { kind: 'key', application: 'several', environment: 'prod', sha256 };
    const lines = [
      { kind: 'application', id: 'several', name: 'Several' },
      { kind: 'application', id: 'nul', name: 'a\u0000b' },
      { kind: 'application', id: 'half', name: '\ud800' },
      key,
      { ...key, expiresAt: '2040-01-01T00:00:00Z' },
    ];
    const text = `\uFEFF${lines.map((line) => JSON.stringify(line)).join('\n')}`;
    const answers = linesOf((await app.call('POST', '/v1/import', text, ndjson)).body);
    expect(answers.slice(0, -1).map((line) => line['outcome'] ?? line['code'])).toEqual([
      'created',
      'invalid_request',
      'invalid_request',
      'created',
      'conflict',
    ]);
  });

  it('is for admins, and only of NDJSON', async () => {
    expect((await app.call('POST', '/v1/import', '{}')).status).toBe(415);
    const { body } = await app.call('POST', '/v1/access-tokens', { name: 'pub', role: 'publisher' });
    const refused = await app.call('POST', '/v1/import', '{}', { ...ndjson, authorization: `Bearer ${body.token}` });
    expect([refused.status, refused.body.code]).toEqual([403, 'forbidden']);
  });
});

describe('text that no database can hold', () => {
  it('is refused with its field, in bodies and in queries', async () => {
    const fieldOf = async (answer: Promise<CallAnswer>): Promise<string> => {
      const { status, body } = await answer;
      return `${status} ${body.errors?.[0]?.field}`;
    };
    expect(await fieldOf(app.call('POST', '/v1/applications', { name: 'a\u0000b' }))).toBe('400 name');
    expect(await fieldOf(app.call('POST', '/v1/applications', { name: 'a', owner: '\ud800' }))).toBe('400 owner');
    expect(await fieldOf(app.call('GET', '/v1/applications?name=%00'))).toBe('400 name');
    expect(await fieldOf(app.call('GET', '/v1/audit?actor=%00'))).toBe('400 actor');
  });
});

describe('access', () => {
  it('needs a token that is known, of the right role, and not withdrawn', async () => {
    const as = (token: string) => ({ authorization: token });
    expect((await app.call('GET', '/v1/plans', undefined, as(''))).body.code).toBe('unauthenticated');
    expect((await app.call('GET', '/v1/plans', undefined, as('Bearer hgt_wrong'))).body.code).toBe('unauthenticated');
    const { body: viewer } = await app.call('POST', '/v1/access-tokens', { name: 'grafana', role: 'viewer' });
    expect((await app.call('GET', '/v1/plans', undefined, as(`Bearer ${viewer.token}`))).status).toBe(200);
    expect((await app.call('POST', '/v1/plans', { id: 'x' }, as(`Bearer ${viewer.token}`))).body.code).toBe(
      'forbidden',
    );
    expect((await app.call('DELETE', `/v1/access-tokens/${viewer.id}`)).status).toBe(204);
    expect((await app.call('GET', '/v1/plans', undefined, as(`Bearer ${viewer.token}`))).status).toBe(401);
  });

  it('is asked for before a byte of the body is read', async () => {
    const nobody = { authorization: 'Bearer nobody' };
    expect((await app.call('POST', '/v1/plans', '{"id": ', nobody)).body.code).toBe('unauthenticated');
    expect((await app.call('POST', '/v1/plans', 'a=b', { ...nobody, 'content-type': 'text/plain' })).body.code).toBe(
      'unauthenticated',
    );
  });

  it('answers malformed requests with a problem document and a request id', async () => {
    const broken = await app.call('POST', '/v1/plans', '{"id": ', {});
    expect([broken.status, broken.body.code]).toEqual([400, 'malformed_json']);
    expect(broken.headers.get('content-type')).toContain('application/problem+json');
    expect(broken.body.requestId).toBe(broken.headers.get('x-request-id'));
    const large = await app.call('POST', '/v1/plans', Buffer.alloc(2_000_000, 0x20));
    expect([large.status, large.body.code]).toEqual([413, 'body_too_large']);
    const undecodable = await app.call('GET', '/v1/plans/%zz');
    expect([undecodable.status, undecodable.body.code]).toEqual([400, 'invalid_request']);
    expect(undecodable.headers.get('content-type')).toContain('application/problem+json');
    expect((await app.call('GET', '/v1/nothing')).body.code).toBe('not_found');
    expect((await app.call('GET', '/v1/plans?colour=red')).body.errors[0].field).toBe('colour');
    expect((await app.call('POST', '/v1/plans', 'a=b', { 'content-type': 'text/plain' })).body.code).toBe(
      'unsupported_media_type',
    );
  });
});

describe('the OpenAPI document', () => {
  it('describes every endpoint that is mounted, and the docs page loads', async () => {
    const { body } = await app.call('GET', '/openapi.json');
    expect(body.openapi).toBe('3.1.0');
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining([
        '/v1/plans/{plan}',
        '/v1/import',
        '/v1/audit',
        '/v1/applications/{application}/keys/{key}/rotate',
      ]),
    );
    const ids = Object.values(body.paths as Record<string, Record<string, { operationId: string }>>).flatMap((path) =>
      Object.values(path).map((operation) => operation.operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
    expect((await app.call('GET', '/docs')).body).toContain('swagger-ui');
    expect((await app.call('GET', '/docs/swagger-ui-bundle.js')).status).toBe(200);
    expect((await app.call('GET', '/docs/errors')).body).toContain('context_taken');
  });
});
