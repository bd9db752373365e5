import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { secretHash } from '#model';
import { DataSource } from 'typeorm';
import type { Role } from '../database/entities.js';

interface Person {
  actor: string;
  role: Role;
}

/** A withdrawn token is refused at once by the master that withdrew it, and after this long by the others. */
const CACHE_MS = 2000;
const CACHE_ENTRIES = 1000;
const BOOTSTRAP = 'bootstrap';

/** Looks tokens up by their hash, with a short memory. */
@Injectable()
export class AccessTokens {
  private readonly people = new Map<string, { person: Person | null; until: number }>();

  constructor(@InjectDataSource() private readonly source: DataSource) {}

  async person(tokenHash: Buffer): Promise<Person | null> {
    const id = tokenHash.toString('latin1');
    const known = this.people.get(id);
    if (known && known.until > Date.now()) return known.person;
    const rows: { name: string; role: Role }[] = await this.source.query(
      'SELECT name, role FROM access_token WHERE token_hash = $1 AND (expires_at IS NULL OR expires_at > now())',
      [tokenHash],
    );
    const person = rows[0] ? { actor: rows[0].name, role: rows[0].role } : null;
    if (this.people.size >= CACHE_ENTRIES) this.people.clear();
    this.people.set(id, { person, until: Date.now() + CACHE_MS });
    return person;
  }

  /** @returns the replica's id */
  async replica(tokenHash: Buffer): Promise<string | null> {
    const rows: { id: string }[] = await this.source.query('SELECT id FROM replica WHERE token_hash = $1', [tokenHash]);
    return rows[0]?.id ?? null;
  }

  /** Whether anybody at all has one. */
  async any(): Promise<boolean> {
    const rows: unknown[] = await this.source.query('SELECT FROM access_token LIMIT 1');
    return rows.length > 0;
  }

  /** After a token was made or withdrawn. */
  forget(): void {
    this.people.clear();
  }

  /** Makes the token of HELIO_BOOTSTRAP_ADMIN_TOKEN the one that the admin `bootstrap` has. */
  async bootstrap(token: string): Promise<void> {
    await this.source.query(
      `WITH stale AS (DELETE FROM access_token WHERE name = $2 AND token_hash <> $3)
       INSERT INTO access_token (id, name, role, token_hash, created_by) VALUES ($1, $2, 'admin', $3, $2)
       ON CONFLICT (token_hash) DO NOTHING`,
      [randomUUID(), BOOTSTRAP, secretHash(token)],
    );
  }
}
