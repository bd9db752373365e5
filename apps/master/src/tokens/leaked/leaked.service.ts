import { Injectable } from '@nestjs/common';
import { isWellFormedClientSecret, isWellFormedKey, secretHash } from '#model';
import { lockApplication } from '../../consumers/applications.service.js';
import { KeysService, type LeakedText } from '../../consumers/keys.service.js';
import { credentialEvent } from '../../events/event-kinds.js';
import { type Answer, type Caller, ok } from '../../http/request.js';
import type { WriteTx } from '../../writes/write-tx.js';
import { Writes } from '../../writes/writes.js';
import { oneClient, saveClient, viewOf } from '../clients/client-rows.js';
import type { ClientView } from '../clients/clients.endpoints.js';
import { soonestSecond } from '../issuing-lock.js';
import type { LeakedKeyView } from './leaked.endpoints.js';

/** In the order in which applications are locked. */
const SAME_SECRET = `
  SELECT c.id, c.application_id AS application FROM oauth_client_secret s JOIN oauth_client c ON c.id = s.client_id
  WHERE s.hash = $1 ORDER BY c.application_id, c.id`;
/** One that had ended, and of which all tokens were revoked since, stays as it is. */
const END = `
  UPDATE oauth_client_secret s SET expires_at = least(s.expires_at, now()) FROM oauth_client c
  WHERE s.client_id = $1 AND s.hash = $2 AND c.id = s.client_id AND c.revoked_at IS NULL
    AND NOT (s.expires_at <= now() AND coalesce(c.not_before >= s.expires_at, false)) RETURNING 1`;

@Injectable()
export class LeakedService {
  constructor(
    private readonly writes: Writes,
    private readonly keys: KeysService,
  ) {}

  report(caller: Caller, found: LeakedText): Promise<Answer<LeakedKeyView>> {
    return this.writes.run(caller, async (tx) => {
      const ofClient = isWellFormedClientSecret(found.secret);
      const keys = await this.keys.leakedIn(tx, found);
      const clients = ofClient ? await clientsOf(tx, found) : []; // what is no secret of ours is no client's
      return ok({ wellFormed: ofClient || isWellFormedKey(found.secret), keys, clients });
    });
  }
}

async function clientsOf(tx: WriteTx, { secret, revoke, reason }: LeakedText): Promise<ClientView[]> {
  const hash = secretHash(secret);
  const places: { id: string; application: string }[] = await tx.manager.query(SAME_SECRET, [hash]);
  const views: ClientView[] = [];
  for (const { id, application } of places) {
    if (revoke) await lockApplication(tx.manager, application);
    const row = await oneClient(tx.manager, application, id);
    const before = viewOf(row);
    const ended: unknown[] = revoke ? await tx.manager.query(`WITH e AS (${END}) SELECT FROM e`, [id, hash]) : [];
    if (ended.length === 0) {
      views.push(before);
      continue;
    }
    // whoever has the secret may have tokens, too
    const since = await soonestSecond(tx.manager, id);
    if (row.notBefore === null || row.notBefore < since) row.notBefore = since;
    const after = viewOf(await saveClient(tx, row));
    tx.audit({ action: 'client.end-secret', target: `client/${id}`, before, after: { ...after, reason } });
    tx.event(credentialEvent('credential.leaked', 'client', after, { reason }));
    views.push(after);
  }
  return views;
}
