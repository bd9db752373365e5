import { Inject, Injectable } from '@nestjs/common';
import { decodeBody, decodeHeader } from '#artifacts';
import { decodeKeyRecord, decodeRevokedToken, type Op, TABLE, tableName } from '#model';
import { keyName } from './entries.js';
import { PUBLISHING_OPTIONS, type PublishingOptions } from './options.js';

/** A revision without what it changes. Hashes are hexadecimal, times ISO 8601. */
export interface RevisionSummary {
  environment: string;
  revision: number;
  epoch: number;
  hash: string;
  root: string;
  issuedAt: string;
  /** how many entries it changes */
  ops: number;
  /** size of header and body */
  bytes: number;
}

export interface OpSummary {
  op: 'put' | 'delete';
  table: string;
  key: string;
  /** plans, applications and keys as they are published, a placement's digest, a release's size; none for a delete */
  value?: unknown;
}

export interface RevisionDetail extends RevisionSummary {
  previous: string;
  minReader: number;
  keyId: string;
  /** the first 1000; `ops` says how many there are */
  changes: OpSummary[];
}

export interface ChainHead {
  environment: string;
  epoch: number;
  /** 0: nothing was published yet */
  revision: number;
  hash: string;
  /** null at revision 0 */
  root: string | null;
  storedRevision: number;
}

const MOST_CHANGES = 1_000;

interface RevisionRow {
  revision: string;
  epoch: number;
  hash: Buffer;
  root: Buffer;
  issued_at: Date;
  ops: number;
  size: number;
}

/** What has been published, for people and tools. */
@Injectable()
export class ChainReader {
  constructor(@Inject(PUBLISHING_OPTIONS) private readonly options: PublishingOptions) {}

  /** Null where there is no such chain: the environment does not exist, or was made a moment ago. */
  async head(environment: string): Promise<ChainHead | null> {
    const [row] = await this.options.query<{
      epoch: number;
      revision: string;
      hash: Buffer;
      root: Buffer | null;
      stored_revision: string;
    }>('SELECT epoch, revision, hash, root, stored_revision FROM chain WHERE environment_id = $1', [environment]);
    if (!row) return null;
    const { epoch, revision, hash, root, stored_revision: stored } = row;
    return {
      environment,
      epoch,
      revision: Number(revision),
      hash: hash.toString('hex'),
      root: root?.toString('hex') ?? null,
      storedRevision: Number(stored),
    };
  }

  async revision(environment: string, revision: number): Promise<RevisionDetail | null> {
    const [row] = await this.options.query<RevisionRow & { bytes: Buffer }>(
      `SELECT ${COLUMNS}, bytes FROM revision WHERE environment_id = $1 AND revision = $2`,
      [environment, revision],
    );
    if (!row) return null;
    const { header, length } = decodeHeader(row.bytes);
    return {
      ...summaryOf(environment, row),
      previous: header.previous.toString('hex'),
      minReader: header.minReader,
      keyId: header.keyId.toString('hex'),
      changes: decodeBody(row.bytes.subarray(length)).slice(0, MOST_CHANGES).map(opSummary),
    };
  }

  /** Newest first. @param before only older ones than this */
  async list(environment: string, limit: number, before: number = Number.MAX_SAFE_INTEGER): Promise<RevisionSummary[]> {
    const rows = await this.options.query<RevisionRow>(
      `SELECT ${COLUMNS} FROM revision WHERE environment_id = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3`,
      [environment, before, limit],
    );
    return rows.map((row) => summaryOf(environment, row));
  }
}

const COLUMNS = 'revision, epoch, hash, root, issued_at, ops, octet_length(bytes) AS size';

function summaryOf(
  environment: string,
  { revision, epoch, hash, root, issued_at: issuedAt, ops, size }: RevisionRow,
): RevisionSummary {
  return {
    environment,
    revision: Number(revision),
    epoch,
    hash: hash.toString('hex'),
    root: root.toString('hex'),
    issuedAt: issuedAt.toISOString(),
    ops,
    bytes: size,
  };
}

function opSummary({ table, key, value }: Op): OpSummary {
  const name = { table: tableName(table), key: keyName({ table, key }) };
  return value === null ? { op: 'delete', ...name } : { op: 'put', ...name, value: readable(table, value) };
}

function readable(table: number, value: Buffer): unknown {
  switch (table) {
    case TABLE.placement:
      return value.toString('hex');
    case TABLE.key:
      return decodeKeyRecord(value);
    case TABLE.revoked_token:
      return { expiresAt: new Date(decodeRevokedToken(value)).toISOString() };
    case TABLE.plan:
    case TABLE.application:
    case TABLE.setting:
    case TABLE.jwks:
    case TABLE.client:
      return JSON.parse(value.toString('utf8'));
    default:
      return { bytes: value.length };
  }
}
