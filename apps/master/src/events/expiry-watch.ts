import { randomUUID } from 'node:crypto';
import { HelioError } from '#model';
import { Inject, Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import type { Logger } from '#platform';
import { LOG } from '../config/tokens.js';
import { type Caller, noContent } from '../http/request.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { credentialEvent, type CredentialEventData } from './event-kinds.js';

const EVERY_MS = 30_000;
/** A write that gives a credential an end which is almost over may be on its way: it is looked at again after that. */
const LATER_SECONDS = 60;
const AT_A_TIME = 1_000;

/** Tells of credentials whose time is over: each once, by one master at a time. */
@Injectable()
export class ExpiryWatch {
  constructor(
    private readonly writes: Writes,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  @Interval('expiry-watch', EVERY_MS)
  async sweep(): Promise<void> {
    try {
      while (await this.some());
    } catch (error) {
      if (error instanceof HelioError && error.code === 'fenced_off') return; // whoever is in office tells
      this.log.debug(
        { cause: (error as Error).message },
        'credentials that expire cannot be told of; it is tried again',
      );
    }
  }

  /** @returns whether there are more */
  private async some(): Promise<boolean> {
    let more = false;
    const caller: Caller = {
      actor: 'system',
      role: 'system',
      requestId: randomUUID(),
      idempotency: null,
      ifMatch: null,
    };
    await this.writes.commit(caller, async (tx) => {
      more = await tell(tx);
      return noContent();
    });
    return more;
  }
}

interface Expired {
  kind: CredentialEventData['kind'];
  id: string;
  application: string | undefined;
  environment: string | undefined;
  name: string | null;
  at: string;
  expiresAt: Date;
}

async function tell(tx: WriteTx): Promise<boolean> {
  const [span]: { from: string; to: string }[] = await tx.manager.query(
    `SELECT until::text AS from, (now() - interval '${LATER_SECONDS} seconds')::text AS to FROM expiry_told FOR UPDATE SKIP LOCKED`,
  );
  if (!span) return false; // another master is at it
  const rows: Expired[] = await tx.manager.query(EXPIRED, [span.from, span.to]);
  for (const { kind, expiresAt, ...view } of rows)
    tx.event(credentialEvent('credential.expired', kind, { ...view, expiresAt: expiresAt.toISOString() }));
  const more = rows.length >= AT_A_TIME;
  // in the database's own words: a Date has no microseconds, and would leave some out, or tell of them twice
  await tx.manager.query('UPDATE expiry_told SET until = greatest(until, $1::timestamptz)', [
    more ? rows.at(-1)?.at : span.to,
  ]);
  return more;
}

const EXPIRED = `
  SELECT c.*, c."expiresAt"::text AS at FROM (
    SELECT 'key' AS kind, id::text, application_id::text AS application, environment_id AS environment, name, expires_at AS "expiresAt"
    FROM api_key WHERE expires_at > $1 AND expires_at <= $2 AND revoked_at IS NULL
    UNION ALL
    SELECT 'client', id, application_id::text, environment_id, name, expires_at
    FROM oauth_client WHERE expires_at > $1 AND expires_at <= $2 AND revoked_at IS NULL
    UNION ALL
    SELECT 'access-token', id::text, NULL, NULL, name, expires_at FROM access_token WHERE expires_at > $1 AND expires_at <= $2
  ) AS c ORDER BY c."expiresAt" FETCH FIRST ${AT_A_TIME} ROWS WITH TIES`;
