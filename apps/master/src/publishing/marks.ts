import { applicationKey, encodeText, issuerKey, placementKey, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import type { Entry } from './entries.js';

/*
 * Which entries of a chain a write may have changed. To mark too much costs a look; to mark too little is never made
 * good. What a service need not mark, because it follows from other entries:
 * - a release: it comes onto a chain with the first placement that refers to it, and leaves with the last one
 * - an application or a plan of which a chain has no entry yet: a key, a client, or a subscription, brings it along. So a new key is all
 *   that is marked of it: an application that the chain has was marked by whoever changed it
 */

/** A placement was made, changed or taken away. */
export const placementMark = (api: string, region: string): Entry => ({
  table: TABLE.placement,
  key: placementKey(api, region),
});

/** A plan was made, changed or deleted: in every environment. */
export const planMark = (id: string): Entry => ({ table: TABLE.plan, key: encodeText(id) });

/** An application or one of its subscriptions changed: in the environments in which it has keys or clients. */
export const applicationMark = (id: string): Entry => ({ table: TABLE.application, key: applicationKey(id) });

/** A key was issued, changed or revoked, or went with its application. `chainId`: the first 16 bytes of its hash. */
export const keyMark = (chainId: Buffer): Entry => ({ table: TABLE.key, key: chainId });

/** A client was made, changed or revoked, or went with its application. `chainId`: `clientKey` of the model. */
export const clientMark = (chainId: Buffer): Entry => ({ table: TABLE.client, key: chainId });

/** A token was revoked, or need not be remembered any more. `chainId`: `revokedTokenKey` of the model. */
export const revokedTokenMark = (chainId: Buffer): Entry => ({ table: TABLE.revoked_token, key: chainId });

/** The keys of an issuer of tokens have changed, or whether it is trusted. */
export const issuerMark = (issuer: string): Entry => ({ table: TABLE.jwks, key: issuerKey(issuer) });

/** The keys that chains are signed with have changed: in every environment. */
export const trustedKeysMark: Entry = { table: TABLE.setting, key: TRUSTED_KEYS_SETTING };

/** For one statement inside the caller's transaction. */
export interface Statements {
  query(sql: string, parameters: unknown[]): Promise<unknown>;
}

/**
 * Marks all that a new environment has to look at, in the transaction that made it: every plan, the trusted keys, and,
 * where it existed before, whatever its chain said then.
 *
 * It waits for writes of plans and keys that are under way and holds up new ones until the caller commits. Without that a plan
 * changed at the same moment would be marked in all environments but this one, which saw it as it was before.
 */
export async function markEnvironment(manager: Statements, environment: string): Promise<void> {
  await manager.query('LOCK TABLE plan, signing_key IN SHARE MODE', []);
  await manager.query(
    `INSERT INTO outbox (environment_id, table_id, key)
     SELECT $1, ${TABLE.plan}, convert_to(id, 'UTF8') FROM plan
     UNION
     SELECT $1, ${TABLE.setting}, $2::bytea WHERE EXISTS (SELECT FROM signing_key)
     UNION
     SELECT $1, table_id, key FROM published_entry WHERE environment_id = $1`,
    [environment, TRUSTED_KEYS_SETTING],
  );
}
