import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Inject, Injectable } from '@nestjs/common';
import { StoreError } from '#artifacts';
import { fail } from '#model';
import { PUBLISHING_OPTIONS, type PublishingOptions } from '../options.js';
import { PublishingHealth } from '../publishing-health.js';
import { readStanding, signHead } from '../standing.js';
import { Gate } from './gate.js';

/** A head that was asked for a moment ago is given again, so that pollers are told `304`. */
const RESIGN_MS = 30_000;
/** Objects of up to 64 MiB that are held at one time, and requests that wait for their turn. */
const MOST_HELD = 8;
const MOST_WAITING = 256;

export interface FoundObject {
  size: number;
  /** absent where only the size was asked for */
  etag?: string;
  bytes?: Buffer;
}

interface SignedHead {
  says: string;
  at: number;
  object: FoundObject;
}

/** The objects of a chain as this master can give them: heads and deltas from PostgreSQL, all else from its store. */
@Injectable()
export class ChainObjects {
  private readonly heads = new Map<string, SignedHead>();
  private readonly gate = new Gate(MOST_HELD, MOST_WAITING);

  constructor(
    @Inject(PUBLISHING_OPTIONS) private readonly options: PublishingOptions,
    private readonly health: PublishingHealth,
  ) {}

  /** A replica reads the chain of its own environment, and of masters that may publish it. @throws HelioError */
  async admit(replica: string, environment: string): Promise<void> {
    const [own] = await this.options.query<{ environment: string }>(
      'SELECT g.environment_id AS environment FROM replica r JOIN region g ON g.id = r.region_id WHERE r.id = $1',
      [replica],
    );
    if (own?.environment !== environment)
      throw fail('forbidden', `the replica "${replica}" does not belong to the environment "${environment}"`);
    const refusal = this.health.refusal(environment);
    if (refusal !== null) throw fail('chain_unavailable', refusal);
  }

  /** Signed now by this process, in the name of the newest term that was let publish: it says what PostgreSQL says. */
  async head(environment: string): Promise<FoundObject | null> {
    const { query, signer } = this.options;
    const standing = await readStanding(query, environment);
    if (!standing) return null;
    const { epoch, revision, hash: tip, snapshot } = standing;
    const says = [epoch, revision, tip.toString('hex'), snapshot?.revision].join(' ');
    const known = this.heads.get(environment);
    if (known?.says === says && performance.now() - known.at < RESIGN_MS) return known.object;
    const object = found(signHead(standing, Date.now(), signer));
    this.heads.set(environment, { says, at: performance.now(), object });
    return object;
  }

  async delta(environment: string, revision: number, sizeOnly: boolean): Promise<FoundObject | null> {
    const { query } = this.options;
    const [row] = await query<{ hash: Buffer; size: number; bytes: Buffer | null }>(
      `SELECT hash, octet_length(bytes) AS size, CASE WHEN $3 THEN NULL ELSE bytes END AS bytes
       FROM revision WHERE environment_id = $1 AND revision = $2`,
      [environment, revision, sizeOnly],
    );
    return row ? { size: row.size, etag: row.hash.toString('hex'), bytes: row.bytes ?? undefined } : null;
  }

  /** @param request whose end ends the reading */
  stored(name: string, limitBytes: number, request: IncomingMessage): Promise<FoundObject | null> {
    return this.passing(async () => {
      const gone = new AbortController();
      const onClose = (): void => gone.abort(new Error('the replica has gone'));
      request.socket.once('close', onClose);
      try {
        return await this.gate.pass(async () => {
          const object = await this.options.store.get(name, limitBytes, gone.signal);
          return object && { size: object.bytes.length, etag: object.etag, bytes: object.bytes };
        });
      } finally {
        request.socket.off('close', onClose);
      }
    });
  }

  sizeOf(name: string): Promise<FoundObject | null> {
    return this.passing(async () => {
      const size = await this.options.store.size(name);
      return size === null ? null : { size };
    });
  }

  private async passing(read: () => Promise<FoundObject | null>): Promise<FoundObject | null> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof StoreError)
        throw fail('chain_unavailable', `the artifact store of this master: ${error.code}`);
      throw error;
    }
  }
}

function found(bytes: Buffer): FoundObject {
  return { size: bytes.length, etag: hash('sha256', bytes), bytes };
}
