import { keyIdOf, TrustedKeys } from '#artifacts';
import { decodeTrustedKeys, TABLE, TRUSTED_KEYS_SETTING } from '#model';

/** Whom a chain believes. */
export interface Trust {
  /** public keys: whoever signs its next revision has one of these */
  keys: readonly string[];
  current: TrustedKeys;
  /** and those that were retired: what they signed long ago is still ours where the chain itself says so */
  ever: TrustedKeys;
  /** whether a master with this key may take office */
  maySign(publicKey: string): boolean;
}

/** As pool and session both can be asked. */
type Ask = <T extends object>(text: string, values: unknown[]) => Promise<T[]>;

const TRUST = `
  SELECT c.public_key, p.value AS setting,
         ARRAY(SELECT k.public_key FROM signing_key k WHERE k.retired_at IS NULL ORDER BY 1) AS active,
         ARRAY(SELECT k.public_key FROM signing_key k WHERE k.retired_at IS NOT NULL) AS retired
  FROM (SELECT $1::text AS id) AS e
  LEFT JOIN chain c ON c.environment_id = e.id
  LEFT JOIN published_entry p ON p.environment_id = e.id AND p.table_id = ${TABLE.setting} AND p.key = $2`;

interface TrustRow {
  public_key: string | null;
  setting: Buffer | null;
  active: string[];
  retired: string[];
}

/**
 * The keys of a chain: what its entry says, else the key of its terms until now; one that has had no term yet begins with
 * a key that was announced, and before the first rotation with `own`.
 *
 * @param own the public key of this process
 */
export async function trustOf(ask: Ask, environment: string, own: string): Promise<Trust> {
  const [row] = await ask<TrustRow>(TRUST, [environment, TRUSTED_KEYS_SETTING]);
  if (!row) throw new Error('PostgreSQL does not say which keys there are');
  const { public_key: signing, active, retired } = row;
  const begun = signing ? [signing] : active.length > 0 ? active : [own];
  const keys = (row.setting && decodeTrustedKeys(row.setting)) ?? begun;
  const ever = [...keys, ...active, ...retired, own, ...(signing ? [signing] : [])];
  return {
    keys,
    current: new TrustedKeys(keys),
    ever: new TrustedKeys(ever),
    maySign: (publicKey) => keys.includes(publicKey) && !retired.includes(publicKey),
  };
}

/** In hexadecimal, as heads and logs name a key. */
export function keyIdText(publicKey: string): string {
  return keyIdOf(Buffer.from(publicKey, 'base64')).toString('hex');
}
