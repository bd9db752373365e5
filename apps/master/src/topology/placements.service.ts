import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { PlacementRow } from '../database/entities.js';
import { decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven, requireMatch } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { Writes } from '../writes/writes.js';
import {
  applyPlacings,
  faultsOfPlacings,
  lockPlacements,
  type PlacementChange,
  type Placing,
} from './placement-batch.js';
import type { PlacementView } from './placements.endpoints.js';
import { refusePromoted } from './promotion-lock.js';

/** Where a placement is. */
interface Place {
  environment: string;
  api: string;
  region: string;
}

interface Changed {
  environment: string;
  created: number;
  replaced: number;
  removed: number;
  unchanged: number;
}

@Injectable()
export class PlacementsService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  async list({ limit, cursor, ...filter }: PageRequest & Partial<Place>): Promise<Answer<Page<PlacementView>>> {
    const after = decodeCursor(cursor, 3);
    const query = this.source.manager
      .createQueryBuilder(PlacementRow, 'p')
      .where(filter)
      .orderBy('p.environment')
      .addOrderBy('p.api')
      .addOrderBy('p.region')
      .limit(limit + 1);
    if (after) query.andWhere('(p.environment, p.api, p.region) > (:...after)', { after });
    return ok(toPage(await query.getMany(), limit, (row) => [row.environment, row.api, row.region], viewOf));
  }

  async get(place: Place): Promise<Answer<PlacementView>> {
    const row = await one(this.source.manager, place);
    return ok(viewOf(row), String(row.version));
  }

  put(
    caller: Caller,
    place: Place,
    { release, reason }: { release: string; reason: string },
  ): Promise<Answer<PlacementView>> {
    const { environment, api, region } = place;
    return this.writes.run(caller, async (tx) => {
      const { manager } = tx;
      if (!(await lockPlacements(manager, environment))) {
        throw fail('not_found', `there is no environment "${environment}"`);
      }
      await refusePromoted(manager, environment, [api]);
      const [fault] = await faultsOfPlacings(manager, environment, [{ api, region, release }]);
      if (fault?.field === 'release') {
        throw fail('unknown_reference', `release: ${fault.problem}`, { fields: [withoutIndex(fault)] });
      }
      if (fault) throw fail('not_found', fault.problem);
      const existing = await manager.findOneBy(PlacementRow, place);
      if (existing) {
        requireMatch(caller, String(existing.version));
      } else if (caller.ifMatch !== null) {
        throw fail('precondition_failed', `If-Match is given, but ${placeText(place)} nothing is placed`);
      }
      await applyPlacings(tx, environment, [{ api, region, release }], reason);
      const row = await one(manager, place);
      const etag = String(row.version);
      return existing
        ? ok(viewOf(row), etag)
        : created(viewOf(row), `/v1/placements/${environment}/${api}/${region}`, etag);
    });
  }

  delete(caller: Caller, place: Place, reason: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      await lockPlacements(tx.manager, place.environment);
      await refusePromoted(tx.manager, place.environment, [place.api]);
      matchIfGiven(caller, String((await one(tx.manager, place)).version));
      await applyPlacings(tx, place.environment, [{ api: place.api, region: place.region, release: null }], reason);
      return noContent();
    });
  }

  placeMany(
    caller: Caller,
    { environment, items, reason }: { environment: string; items: Placing[]; reason: string },
  ): Promise<Answer<Changed>> {
    return this.writes.run(caller, async (tx) => {
      if (!(await lockPlacements(tx.manager, environment))) {
        throw fail('unknown_reference', `there is no environment "${environment}"`, {
          fields: [{ field: 'environment', problem: `no environment has the id "${environment}"` }],
        });
      }
      await refusePromoted(
        tx.manager,
        environment,
        items.map(({ api }) => api),
      );
      const faults = await faultsOfPlacings(tx.manager, environment, items);
      if (faults.length > 0) {
        const fields = faults.map((fault) => ({
          ...withoutIndex(fault),
          field: `items[${fault.index}].${fault.field}`,
        }));
        throw fail('unknown_reference', `${fields[0]?.field}: ${fields[0]?.problem}; nothing was placed`, { fields });
      }
      const changes = await applyPlacings(tx, environment, items, reason);
      return ok(summaryOf(environment, items.length, changes));
    });
  }
}

function withoutIndex<T extends { index: number }>({ index: _, ...fault }: T): Omit<T, 'index'> {
  return fault;
}

function summaryOf(environment: string, items: number, changes: readonly PlacementChange[]): Changed {
  const created = changes.filter((change) => change.before === null).length;
  const removed = changes.filter((change) => change.after === null).length;
  return {
    environment,
    created,
    replaced: changes.length - created - removed,
    removed,
    unchanged: items - changes.length,
  };
}

function placeText({ environment, api, region }: Place): string {
  return `of "${api}" in the region "${region}" of "${environment}"`;
}

async function one(manager: EntityManager, place: Place): Promise<PlacementRow> {
  const row = await manager.findOneBy(PlacementRow, {
    environment: place.environment,
    api: place.api,
    region: place.region,
  });
  if (!row) throw fail('not_found', `${placeText(place)} nothing is placed`);
  return row;
}

function viewOf(row: PlacementRow): PlacementView {
  return {
    environment: row.environment,
    api: row.api,
    region: row.region,
    release: row.digest.toString('hex'),
    updatedAt: row.updatedAt.toISOString(),
    updatedBy: row.updatedBy,
  };
}
