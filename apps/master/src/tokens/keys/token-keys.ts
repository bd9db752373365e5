import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { calculateJwkThumbprint, exportJWK } from 'jose';
import { fail } from '#model';
import type { Logger } from '#platform';
import type { MasterConfig } from '../../config/config.js';
import { CONFIG, LOG } from '../../config/tokens.js';
import { noContent } from '../../http/request.js';
import { issuerMark } from '../../publishing/index.js';
import type { WriteTx } from '../../writes/write-tx.js';
import { Writes } from '../../writes/writes.js';
import { sealerOf } from '../../secrets/sealed.js';
import { MOST_TOKEN_SECONDS } from '../clients/clients.endpoints.js';
import { OwnIssuer } from '../own-issuer.js';
import { SYSTEM } from '../system-caller.js';
import { chooseKey, type KeyTimes, leavingAt } from './choose-key.js';
import { openKey, sealKey } from './sealed-key.js';

export interface StoredKey extends KeyTimes {
  kid: string;
  sealed: Buffer;
}

export interface PrivateKey {
  kid: string;
  key: KeyObject;
}

const newPair = promisify(generateKeyPair);

/** The keys that access tokens are signed by: one environment's are never another's. */
@Injectable()
export class TokenKeys {
  /** those that were opened, by kid; null: it cannot be */
  private readonly opened = new Map<string, KeyObject | null>();
  /** environments for which another key is on its way */
  private readonly making = new Map<string, Promise<void>>();
  private readonly sealer: string;

  constructor(
    @Inject(CONFIG) private readonly config: MasterConfig,
    @Inject(LOG) private readonly log: Logger,
    private readonly issuer: OwnIssuer,
    private readonly writes: Writes,
  ) {
    this.sealer = sealerOf(config.signer);
  }

  /** @param now the database's clock, milliseconds since 1970 @returns null: this master has none; see `another` */
  choose(keys: readonly StoredKey[], now: number, tokenSeconds: number): PrivateKey | null {
    const usable = keys.filter((key) => key.sealedBy === this.sealer && this.open(key) !== null);
    const chosen = chooseKey(usable, this.sealer, now, tokenSeconds);
    const key = chosen && this.open(chosen);
    return chosen && key ? { kid: chosen.kid, key } : null;
  }

  /**
   * Makes a key for a master that can open none of those that are there, and waits until a revision carries it: nobody is to
   * see a token before its key. The others stay: other masters sign by them.
   *
   * @throws HelioError `database_unavailable` when no revision carries it in time
   */
  another(environment: string): Promise<void> {
    const making =
      this.making.get(environment) ?? this.make(environment).finally(() => this.making.delete(environment));
    this.making.set(environment, making);
    return making;
  }

  private async make(environment: string): Promise<void> {
    const answer = await this.writes.run(SYSTEM, async (tx) => {
      await lockEnvironment(tx, environment);
      await this.add(tx, environment, 0);
      return noContent();
    });
    if (answer.carriedBy?.some(({ revision }) => revision === null))
      throw fail('database_unavailable', 'a key to sign tokens by is not published yet', {
        headers: { 'retry-after': '1' },
      });
  }

  /**
   * The first key of an environment comes with its first client, in the revision that carries both: whoever knows the client
   * knows the key.
   */
  async ensure(tx: WriteTx, environment: string): Promise<void> {
    if (await hasKey(tx, environment)) return;
    await lockEnvironment(tx, environment);
    if (!(await hasKey(tx, environment))) await this.add(tx, environment, 0);
  }

  /**
   * Announces the next key of an environment that the transaction has locked: chains carry it at once, and tokens are signed
   * by it once every replica had time to hear of it. Those before it leave when the last of their tokens has expired.
   */
  async announce(tx: WriteTx, environment: string): Promise<string> {
    const isFirst = !(await hasKey(tx, environment));
    const kid = await this.add(tx, environment, isFirst ? 0 : this.config.HELIO_TOKEN_KEY_NOTICE_SECONDS);
    await tx.manager.query(
      `UPDATE token_key k SET leaves_at = n.signs_from + $3 * interval '1 millisecond' FROM token_key n
       WHERE n.kid = $2 AND k.environment_id = $1 AND k.kid <> $2 AND k.leaves_at IS NULL`,
      [environment, kid, leavingAt(0, MOST_TOKEN_SECONDS)],
    );
    return kid;
  }

  /** Another key in the place of all others, at once: the tokens that they have signed are worth nothing any more. */
  async replaceAll(tx: WriteTx, environment: string): Promise<string> {
    await tx.manager.query('DELETE FROM token_key WHERE environment_id = $1', [environment]);
    return this.add(tx, environment, 0);
  }

  private async add(tx: WriteTx, environment: string, noticeSeconds: number): Promise<string> {
    const { publicKey, privateKey } = await newPair('ec', { namedCurve: 'P-256' });
    const jwk = await exportJWK(publicKey);
    const kid = await calculateJwkThumbprint(jwk);
    await tx.manager.query(
      `INSERT INTO token_key (kid, environment_id, public_jwk, sealed, sealed_by, signs_from, created_by)
       VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 second', $7)`,
      [
        kid,
        environment,
        JSON.stringify({ ...jwk, kid, alg: 'ES256', use: 'sig' }),
        sealKey(privateKey, kid, this.config.signer),
        this.sealer,
        noticeSeconds,
        tx.caller.actor,
      ],
    );
    tx.mark([environment], issuerMark(await this.issuer.name(tx.manager, true)));
    tx.audit({ action: 'token-key.create', target: `token-key/${kid}`, after: { environment, noticeSeconds } });
    return kid;
  }

  private open({ kid, sealed }: StoredKey): KeyObject | null {
    const known = this.opened.get(kid);
    if (known !== undefined) return known;
    if (this.opened.size >= MOST_OPENED) this.opened.clear();
    let key: KeyObject | null = null;
    try {
      key = openKey(sealed, kid, this.config.signer);
    } catch (error) {
      this.log.error({ kid, cause: (error as Error).message }, 'a key to sign tokens by is damaged; another is made');
    }
    this.opened.set(kid, key);
    return key;
  }
}

/** A few for each environment. */
const MOST_OPENED = 1_000;

/** Changes of an environment's keys come one after the other, whichever master makes them. @throws HelioError `not_found` */
export async function lockEnvironment({ manager }: WriteTx, environment: string): Promise<void> {
  const rows: unknown[] = await manager.query('SELECT FROM environment WHERE id = $1 FOR NO KEY UPDATE', [environment]);
  if (rows.length === 0) throw fail('not_found', `there is no environment "${environment}"`);
}

async function hasKey({ manager }: WriteTx, environment: string): Promise<boolean> {
  const rows: unknown[] = await manager.query('SELECT FROM token_key WHERE environment_id = $1 LIMIT 1', [environment]);
  return rows.length > 0;
}
