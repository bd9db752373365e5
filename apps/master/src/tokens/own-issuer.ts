import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { clientKey } from '#model';
import type { Logger } from '#platform';
import { DataSource, type EntityManager } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG, LOG } from '../config/tokens.js';
import { noContent } from '../http/request.js';
import { clientMark, issuerMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { SYSTEM } from './system-caller.js';

/**
 * The name that our tokens bear as `iss`. It is a fact of the database, so that all masters say the same: whoever is started
 * with another HELIO_ISSUER changes it for all, and whoever is started without takes what is there.
 */
@Injectable()
export class OwnIssuer implements OnModuleInit {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(CONFIG) private readonly config: MasterConfig,
    @Inject(LOG) private readonly log: Logger,
    private readonly writes: Writes,
  ) {}

  /** After the migration. Nobody waits for the revision: publishing has not begun. */
  async onModuleInit(): Promise<void> {
    const { HELIO_ISSUER: wanted, PORT: port } = this.config;
    await this.source.query('INSERT INTO token_authority (issuer) VALUES ($1) ON CONFLICT (one) DO NOTHING', [
      wanted ?? `http://localhost:${port}`,
    ]);
    if (wanted === undefined || (await this.name()) === wanted) return;
    await this.writes.commit(SYSTEM, async (tx) => {
      await this.move(tx, wanted);
      return noContent();
    });
  }

  /** @param lock keep it as it is until the transaction ends */
  async name(manager: EntityManager = this.source.manager, lock = false): Promise<string> {
    const rows: { issuer: string }[] = await manager.query(
      `SELECT issuer FROM token_authority ${lock ? 'FOR SHARE' : ''}`,
    );
    if (!rows[0]) throw new Error('the database has no name of the issuer, which every start gives it');
    return rows[0].issuer;
  }

  /** Tokens of the former name are worth nothing any more; clients go on with the next one. */
  private async move(tx: WriteTx, issuer: string): Promise<void> {
    const { manager } = tx;
    const [row]: { issuer: string }[] = await manager.query('SELECT issuer FROM token_authority FOR UPDATE');
    if (!row || row.issuer === issuer) return; // another master was faster
    await manager.query('UPDATE token_authority SET issuer = $1', [issuer]);
    const clients: { id: string; environment_id: string; chain_id: Buffer }[] = await manager.query(
      'SELECT id, environment_id, chain_id FROM oauth_client FOR UPDATE',
    );
    const named = clients.map((client) => ({ ...client, next: clientKey(issuer, client.id) }));
    await manager.query(
      'UPDATE oauth_client c SET chain_id = n.chain_id FROM unnest($1::text[], $2::bytea[]) AS n (id, chain_id) WHERE c.id = n.id',
      [named.map(({ id }) => id), named.map(({ next }) => next)],
    );
    for (const { environment_id: environment, chain_id: former, next } of named)
      tx.mark([environment], clientMark(former), clientMark(next));
    tx.mark('all', issuerMark(row.issuer), issuerMark(issuer));
    tx.audit({ action: 'issuer.change', target: 'issuer', before: { issuer: row.issuer }, after: { issuer } });
    this.log.warn(
      { from: row.issuer, to: issuer },
      'the issuer has another name: tokens of the former one are refused',
    );
  }
}
