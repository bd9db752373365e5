import { randomUUID } from 'node:crypto';
import { newToken, secretHash } from '#model';
import { expect } from 'vitest';
import type { Role } from '../database/entities.js';
import type { CallAnswer, StartedApp } from './start-app.js';

/** The body of an answer that has to be a good one. */
export async function good(answer: Promise<CallAnswer>): Promise<CallAnswer['body']> {
  const { status, body } = await answer;
  expect(status, JSON.stringify(body)).toBeLessThan(300);
  return body;
}

/** Makes environments, the last of the pipeline first, and their regions. */
export async function settle(app: StartedApp, regions: Record<string, readonly string[]>): Promise<void> {
  for (const [at, [environment, ids]] of Object.entries(regions).entries()) {
    await good(app.call('POST', '/v1/environments', { id: environment, position: 30 - 10 * at }));
    for (const id of ids) await good(app.call('POST', '/v1/regions', { id, environment }));
  }
}

/** `422 unknown_reference region, plan`: status, code and faulty fields of a refusal, or `201` of what is none. */
export async function outcome(answer: Promise<CallAnswer>): Promise<string> {
  const { status, body } = await answer;
  const fields = (body.errors as { field: string }[] | undefined)?.map((fault) => fault.field).join(', ');
  return [status, body.code, fields].filter(Boolean).join(' ');
}

/** Requests with an access token of a role. */
export async function as(app: StartedApp, role: Role): Promise<StartedApp['call']> {
  const token = newToken('test');
  await app.source.query(
    `INSERT INTO access_token (id, name, role, token_hash, created_by) VALUES ($1, $2, $2, $3, 'test')`,
    [randomUUID(), role, secretHash(token)],
  );
  return (method, path, body, headers) =>
    app.call(method, path, body, { ...headers, authorization: `Bearer ${token}` });
}

/** Every item of a list, fetched in pages of `limit`. */
export async function pages(app: StartedApp, path: string, limit: number): Promise<CallAnswer['body'][]> {
  const items: CallAnswer['body'][] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query: string = `${path.includes('?') ? '&' : '?'}limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`;
    const page: CallAnswer['body'] = await good(app.call('GET', path + query));
    expect(page.items.length).toBeLessThanOrEqual(limit);
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

/** Lines of the audit log about one thing, the oldest first. */
export function auditOf(
  app: StartedApp,
  target: string,
): Promise<{ action: string; actor: string; before: unknown; after: unknown }[]> {
  return app.source.query('SELECT action, actor, before, after FROM audit WHERE target = $1 ORDER BY id', [target]);
}
