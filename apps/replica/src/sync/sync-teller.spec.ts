import { expect, it } from 'vitest';
import type { Logger } from '#platform';
import { FACTS } from '../testing/sync-facts.js';
import type { RevisionSource } from './revision-source.js';
import { SyncTeller } from './sync-teller.js';

it('says of a source that was away and does not answer yet that another one is followed, and not that it is back', () => {
  const said: [string, { source?: string }][] = [];
  const log = { info: (fields: object, text: string) => said.push([text, fields]), warn: () => undefined };
  const sources = [{ description: 'here' }, { description: 'there' }] as unknown as RevisionSource[];
  const teller = new SyncTeller({ sources, log: log as unknown as Logger, onChange: () => undefined });
  const { live } = FACTS;
  const fault = { code: 'source_failed', detail: 'ECONNREFUSED', at: 1 };
  const [one] = live.sources;
  if (!one) throw new Error('it has a source');
  for (const answers of [false, true]) {
    const after = { ...live, sources: [one, { ...one, answers }], faults: {} };
    teller.tell({ ...after, faults: { 'source 1': fault } }, after);
  }
  expect(said.filter(([, { source }]) => source === 'there')).toEqual([
    [
      'this source is not needed for now: the chain is followed from elsewhere',
      { source: 'there', revision: live.revision },
    ],
    ['following the chain from here again', { source: 'there', revision: live.revision }],
  ]);
});

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
