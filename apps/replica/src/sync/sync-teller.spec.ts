import { expect, it } from 'vitest';
import type { Logger } from '#platform';
import { FACTS } from '../testing/sync-facts.js';
import { SyncTeller } from './sync-teller.js';

it('has caught up when it has every revision that it knows of, and not with a chain of which it knows nothing; told once', () => {
  const said: unknown[] = [];
  const log = { info: (fields: object, text: string) => said.push([text, fields]) } as unknown as Logger;
  const teller = new SyncTeller({ sources: [], log, onChange: () => undefined });
  const { live } = FACTS;
  teller.tell(live, { ...live, revision: 0, head: 0 });
  teller.tell(live, { ...live, revision: 4, head: 5 });
  expect(said).toEqual([]);
  for (const revision of [5, 6]) teller.tell(live, { ...live, revision, head: revision });
  expect(said).toEqual([['caught up with the chain', { revision: 5 }]]);
});
