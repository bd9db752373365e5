import type { ReleaseCount } from '#model';
import type { Query } from '../publishing/options.js';
import { NOTHING, type Numbers, sum } from './gates.js';

/** Requests of one release of an API in a region, by all of its replicas together. */
export interface RegionNumbers {
  api: string;
  region: string;
  /** digest in hexadecimal */
  release: string;
  numbers: Numbers;
}

/** What replicas have counted. */
export interface ReleaseNumbers {
  /** What came between two moments, at the most: what is not known to have come after `from` is left out. */
  between(environment: string, apis: readonly string[], from: Date, to: Date | null): Promise<RegionNumbers[]>;
}

/** Who has counted. */
export interface Counter {
  environment: string;
  region: string;
  replica: string;
  /** of its process */
  boot: string;
}

/** An API that nobody promotes is noted down so often, for what a release is compared with. */
const QUIET_SECONDS = 60;
const KEPT_MINUTES = 60;
/** What a wave's regions are compared with: themselves, for so long before it. */
export const BEFORE_MINUTES = 15;

interface Sample {
  api: string;
  region: string;
  release: string;
  requests: string;
  errors: string;
  latency: string[];
  firstLatency: string[];
}

/** Samples of numbers that only grow, in PostgreSQL: any master writes what its replicas say, and any master reads. */
export class SampledNumbers implements ReleaseNumbers {
  constructor(private readonly query: Query) {}

  /** All of an API while it is promoted, else one now and then. */
  async note({ environment, region, replica, boot }: Counter, counts: readonly ReleaseCount[]): Promise<void> {
    if (counts.length === 0) return;
    await this.query(NOTE, [environment, region, replica, boot, JSON.stringify(counts)]);
  }

  async between(environment: string, apis: readonly string[], from: Date, to: Date | null): Promise<RegionNumbers[]> {
    const samples = await this.query<Sample>(BETWEEN, [environment, apis, from, to]);
    const found = new Map<string, RegionNumbers>();
    for (const { api, region, release, requests, errors, latency, firstLatency } of samples) {
      const key = `${region} ${release}`;
      const came = {
        requests: Number(requests),
        errors: Number(errors),
        latency: latency.map((count, i) => Number(count) - Number(firstLatency[i])),
      };
      found.set(key, { api, region, release, numbers: sum([found.get(key)?.numbers ?? NOTHING, came]) });
    }
    return [...found.values()];
  }

  /** Of an open promotion, which may take days, all that its gates need stays: the first and the last of each process. */
  async forget(): Promise<void> {
    await this.query(FORGET);
  }
}

const NOTE = `
  INSERT INTO release_sample (environment_id, region, replica_id, boot, api_id, digest, requests, errors, latency)
  SELECT $1, $2, $3, $4, c.api, decode(c.release, 'hex'), c.requests, c.errors, c.latency
  FROM jsonb_to_recordset($5::jsonb) AS c(api text, release text, requests bigint, errors bigint, latency bigint[])
  WHERE EXISTS (SELECT FROM promotion_lock l WHERE l.environment_id = $1 AND l.api_id = c.api)
     OR NOT EXISTS (SELECT FROM release_sample s WHERE s.replica_id = $3 AND s.api_id = c.api AND s.digest = decode(c.release, 'hex')
                      AND s.boot = $4 AND s.at > now() - interval '${QUIET_SECONDS} seconds')`;

// the first sample after `from` is where counting begins: what is in it may have come earlier
const BETWEEN = `
  WITH ends AS (
    SELECT api_id, region, digest, replica_id, boot, min(at) AS first_at, max(at) AS last_at
    FROM release_sample WHERE environment_id = $1 AND api_id = ANY($2::text[]) AND at >= $3 AND ($4::timestamptz IS NULL OR at < $4)
    GROUP BY api_id, region, digest, replica_id, boot
  )
  SELECT e.api_id AS api, e.region, encode(e.digest, 'hex') AS release, l.requests - f.requests AS requests, l.errors - f.errors AS errors,
    l.latency, f.latency AS "firstLatency"
  FROM ends e
  JOIN release_sample f ON f.replica_id = e.replica_id AND f.api_id = e.api_id AND f.digest = e.digest AND f.at = e.first_at AND f.boot = e.boot
  JOIN release_sample l ON l.replica_id = e.replica_id AND l.api_id = e.api_id AND l.digest = e.digest AND l.at = e.last_at AND l.boot = e.boot
  WHERE e.last_at > e.first_at`;

const FORGET = `
  WITH open AS (
    SELECT l.environment_id, l.api_id, p.counted_since, p.wave_since FROM promotion_lock l JOIN promotion p ON p.id = l.promotion_id
  ), old AS (
    SELECT s.ctid AS row, s.replica_id, s.api_id, s.digest, s.boot, s.at, CASE
      WHEN s.at >= o.counted_since THEN 'since'
      WHEN s.at < o.wave_since AND s.at >= o.wave_since - interval '${BEFORE_MINUTES} minutes' THEN 'before' END AS part
    FROM release_sample s LEFT JOIN open o USING (environment_id, api_id) WHERE s.at < now() - interval '${KEPT_MINUTES} minutes'
  ), placed AS (
    SELECT row, part, row_number() OVER (process ORDER BY at) AS first, row_number() OVER (process ORDER BY at DESC) AS last
    FROM old WINDOW process AS (PARTITION BY replica_id, api_id, digest, boot, part)
  )
  DELETE FROM release_sample s USING placed p WHERE s.ctid = p.row AND (p.part IS NULL OR p.first > 1 AND p.last > 1)`;
