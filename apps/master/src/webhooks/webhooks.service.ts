import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG } from '../config/tokens.js';
import { AGE_AND_ID, decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven, requireMatch } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { targetOf, Unavailable } from '../outbound/guarded-agent.js';
import { Reachable } from '../outbound/reachable.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { auditOfWebhook, oneWebhook, type WebhookRow, webhookViewOf, webhooksAfter } from './webhook-rows.js';
import { addSecret } from './webhook-secret.js';
import type { IssuedWebhookView, NewWebhook, WebhookChange, WebhookView } from './webhooks.endpoints.js';

/** Each may keep a connection for ten seconds, and they are to get on with each other. */
const MOST_WEBHOOKS = 100;
/** One that a rotation leaves, and some more for who rotates again before the overlap is over. */
const MOST_SECRETS = 5;

@Injectable()
export class WebhooksService {
  private readonly reachable: Reachable;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(CONFIG) private readonly config: MasterConfig,
    private readonly writes: Writes,
  ) {
    this.reachable = new Reachable(config.HELIO_WEBHOOK_NETWORKS, 'HELIO_WEBHOOK_NETWORKS');
  }

  create(caller: Caller, fields: NewWebhook): Promise<Answer<IssuedWebhookView>> {
    return this.writes.run(caller, async (tx) => {
      const { row, secret } = await this.createIn(tx, fields);
      return created({ ...this.viewOf(row), secret }, `/v1/webhooks/${row.id}`, String(row.version));
    });
  }

  /**
   * @param given what somebody else decides; by default both are made
   * @throws HelioError `invalid_request`, `unknown_reference`, `conflict`
   */
  async createIn(
    tx: WriteTx,
    fields: NewWebhook,
    given: { id?: string; secret?: string } = {},
  ): Promise<{ row: WebhookRow; secret: string }> {
    await this.check(tx, fields);
    const [{ n } = { n: 0 }]: { n: number }[] = await tx.manager.query('SELECT count(*)::int AS n FROM webhook');
    if (n >= MOST_WEBHOOKS) throw fail('conflict', `there are ${n} webhooks, which is the most; delete one first`);
    const { id = randomUUID() } = given;
    const { url, types, environments, description, enabled } = fields;
    await tx.manager.query(
      'INSERT INTO webhook (id, url, types, environments, description, enabled, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7)',
      [id, url, types, environments, description, enabled, tx.caller.actor],
    );
    const secret = await addSecret(tx.manager, id, this.config.signer, given.secret);
    const row = await oneWebhook(tx.manager, id);
    tx.audit({ action: 'webhook.create', target: `webhook/${id}`, after: auditOfWebhook(row) });
    return { row, secret };
  }

  async list(page: PageRequest): Promise<Answer<Page<WebhookView>>> {
    const after = decodeCursor(page.cursor, 2, AGE_AND_ID);
    const rows = await webhooksAfter(this.source.manager, after, page.limit + 1);
    return ok(
      toPage(
        rows,
        page.limit,
        ({ age, id }) => [age, id],
        (row) => this.viewOf(row),
      ),
    );
  }

  async get(id: string): Promise<Answer<WebhookView>> {
    return this.answerOf(await oneWebhook(this.source.manager, id));
  }

  update(caller: Caller, id: string, change: WebhookChange): Promise<Answer<WebhookView>> {
    return this.writes.run(caller, async (tx) => {
      const before = await oneWebhook(tx.manager, id, true);
      requireMatch(caller, String(before.version));
      return this.answerOf(await this.updateIn(tx, before, change));
    });
  }

  /** @param before that the transaction has locked */
  async updateIn(tx: WriteTx, before: WebhookRow, change: WebhookChange): Promise<WebhookRow> {
    await this.check(tx, change);
    const { id, url, types, environments, description, enabled } = { ...before, ...change };
    await tx.manager.query(
      `UPDATE webhook SET url = $2, types = $3, environments = $4, description = $5, enabled = $6, version = version + 1,
         disabled_reason = CASE WHEN $6 THEN NULL ELSE disabled_reason END,
         paused_until = CASE WHEN $7 THEN '-infinity' ELSE paused_until END WHERE id = $1`,
      [id, url, types, environments, description, enabled, change.enabled === true || change.url !== undefined],
    );
    const after = await oneWebhook(tx.manager, id);
    tx.audit({
      action: 'webhook.update',
      target: `webhook/${id}`,
      before: auditOfWebhook(before),
      after: auditOfWebhook(after),
    });
    return after;
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      await this.deleteIn(tx, id);
      return noContent();
    });
  }

  async deleteIn(tx: WriteTx, id: string): Promise<void> {
    const row = await oneWebhook(tx.manager, id, true);
    matchIfGiven(tx.caller, String(row.version));
    await tx.manager.query('DELETE FROM webhook WHERE id = $1', [id]);
    tx.audit({ action: 'webhook.delete', target: `webhook/${id}`, before: auditOfWebhook(row) });
  }

  rotate(caller: Caller, id: string, overlapSeconds: number): Promise<Answer<IssuedWebhookView>> {
    return this.writes.run(caller, async (tx) => {
      const { row, secret } = await this.rotateIn(tx, await oneWebhook(tx.manager, id, true), overlapSeconds);
      return ok({ ...this.viewOf(row), secret }, String(row.version));
    });
  }

  /** @param before that the transaction has locked @param given default: a new one */
  async rotateIn(
    tx: WriteTx,
    before: WebhookRow,
    overlapSeconds: number,
    given?: string,
  ): Promise<{ row: WebhookRow; secret: string }> {
    const { id } = before;
    if (overlapSeconds > 0 && before.secrets.length >= MOST_SECRETS)
      throw fail('conflict', `${MOST_SECRETS} secrets of the webhook ${id} still sign; overlapSeconds 0 ends them`);
    await tx.manager.query(
      `WITH gone AS (DELETE FROM webhook_secret WHERE webhook_id = $1 AND (expires_at <= now() OR $2::integer = 0))
       UPDATE webhook_secret SET expires_at = least(expires_at, now() + $2::integer * interval '1 second')
       WHERE webhook_id = $1 AND $2::integer > 0 AND (expires_at IS NULL OR expires_at > now())`,
      [id, overlapSeconds],
    );
    const secret = await addSecret(tx.manager, id, this.config.signer, given);
    await tx.manager.query('UPDATE webhook SET version = version + 1 WHERE id = $1', [id]);
    const row = await oneWebhook(tx.manager, id);
    const secrets = ({ secrets: all }: WebhookRow): object => ({
      secrets: this.viewOf({ ...row, secrets: all }).secrets,
    });
    tx.audit({ action: 'webhook.rotate', target: `webhook/${id}`, before: secrets(before), after: secrets(row) });
    return { row, secret };
  }

  /** What can be known of a URL before anything is sent there: a name is looked up each time. */
  private async check(tx: WriteTx, { url, environments }: WebhookChange): Promise<void> {
    if (url !== undefined) this.checkUrl(url);
    const known: { id: string }[] = environments?.length
      ? await tx.manager.query('SELECT id FROM environment WHERE id = ANY ($1::text[])', [environments])
      : [];
    const at = environments?.findIndex((id) => !known.some((one) => one.id === id)) ?? -1;
    if (at === -1) return;
    const [field, problem] = [`environments[${at}]`, `there is no environment "${environments?.[at]}"`];
    throw fail('unknown_reference', `${field}: ${problem}`, { fields: [{ field, problem }] });
  }

  private checkUrl(url: string): void {
    const nowhere = url.startsWith('http:') && this.config.HELIO_WEBHOOK_NETWORKS.length === 0;
    try {
      if (nowhere) throw new Unavailable('http is for addresses in HELIO_WEBHOOK_NETWORKS only, and that names none');
      targetOf(url, this.reachable);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      const fields = [{ field: 'url', problem: error.message, expected: 'https and a public address' }];
      throw fail('invalid_request', `url: ${error.message}`, { fields });
    }
  }

  private viewOf(row: WebhookRow): WebhookView {
    return webhookViewOf(row, this.config.signer);
  }

  private answerOf(row: WebhookRow): Answer<WebhookView> {
    return ok(this.viewOf(row), String(row.version));
  }
}
