import { Controller } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource } from 'typeorm';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { decodeCursor, type Page, toPage } from '../http/paging.js';
import { type Answer, ok } from '../http/request.js';
import type { EventView } from './event-kinds.js';
import { matchesType } from './event-type.js';
import { listEvents } from './events.endpoints.js';
import { EVENT_COLUMNS, type EventRow, eventViewOf } from './event-row.js';

@Controller()
export class EventsController {
  constructor(@InjectDataSource() private readonly source: DataSource) {}

  @Route(listEvents)
  async list(@Input() { query }: InputOf<typeof listEvents>): Promise<Answer<Page<EventView>>> {
    const { limit, order, after, since, type, subject, environment } = query;
    const cursor = decodeCursor(query.cursor, 1, [/^\d{1,18}$/])?.[0] ?? null;
    const rows: (EventRow & { position: string })[] = await this.source.query(
      `SELECT ${EVENT_COLUMNS}, e.position FROM event e
       WHERE e.position IS NOT NULL AND ($1::bigint IS NULL OR e.position ${order === 'asc' ? '>' : '<'} $1) AND ($2::bigint IS NULL OR e.position > $2)
         AND ($3::timestamptz IS NULL OR e.at >= $3) AND ($4::text IS NULL OR ${matchesType('e.type', '$4')})
         AND ($5::text IS NULL OR e.subject = $5) AND ($6::text IS NULL OR e.environment_id = $6)
       ORDER BY e.position ${order} LIMIT $7`,
      [
        cursor,
        after === undefined ? null : await this.positionOf(after),
        since ?? null,
        type ?? null,
        subject ?? null,
        environment ?? null,
        limit + 1,
      ],
    );
    return ok(toPage(rows, limit, ({ position }) => [position], eventViewOf));
  }

  private async positionOf(id: string): Promise<string> {
    const [row]: { position: string | null }[] = await this.source.query('SELECT position FROM event WHERE id = $1', [
      id,
    ]);
    if (row?.position) return row.position;
    throw fail('invalid_request', `after: there is no event ${id}, or not any more`, {
      fields: [
        { field: 'after', problem: 'is not the id of an event that is kept', expected: 'one that came, or `since`' },
      ],
    });
  }
}
