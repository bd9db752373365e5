import { describe, expect, it } from 'vitest';
import { sealHead, newSigningKeyPem, signerFromPem, TrustedKeys, verifyHead } from '#artifacts';
import type { SystemStatus } from '../status-screen.js';
import { type Look, lookAtClock } from './finding.js';
import { looksAtFleet } from './fleet-looks.js';
import { looksAtMachine, type MachineFacts } from './machine-looks.js';
import { looksAtMaster, type ReadyAnswer } from './master-looks.js';
import { looksAtNode, type NodeFacts } from './replica-looks.js';
import { looksAtStore } from './store-looks.js';
import { looksAtWork, type PromotionFacts, type WebhookFacts } from './work-looks.js';

const NOW = Date.parse('2026-11-22T03:00:00Z');
const notWell = (looks: readonly Look[]): string[] =>
  looks.filter(({ level }) => level !== 'ok').map(({ level, check }) => `${level} ${check}`);

const environment: ReadyAnswer['environments'][number] = {
  environment: 'prod',
  leaderInstance: 'm-1',
  revision: 200,
  storedRevision: 200,
  outbox: 0,
  outboxAgeSeconds: 0,
  error: null,
  waitsFor: null,
  store: null,
};
const ready = (change: Partial<ReadyAnswer>, of: Partial<typeof environment> = {}): Look[] =>
  looksAtMaster({
    ready: {
      version: '0.1.0',
      stops: false,
      database: 'ok',
      signingKey: 'ok',
      fencedOff: [],
      environments: [{ ...environment, ...of }],
      ...change,
    },
    reason: '',
    answerMs: 3,
    skewMs: 200,
    version: '0.1.0',
  });

describe('a master', () => {
  it('has nothing told against it when it is well', () => expect(notWell(ready({}))).toEqual([]));

  it.each<[string, string[], Partial<ReadyAnswer>, Partial<typeof environment>]>([
    ['its database', ['fault database'], { database: 'does not answer' }, {}],
    ['its key', ['fault signing key'], { signingKey: 'refused: prod' }, {}],
    ['another master', ['fault office of prod'], { fencedOff: [{ environment: 'prod', detail: 'epoch 9' }] }, {}],
    ['its end, which is no fault', ['warning stops'], { stops: true }, {}],
    ['its version', ['warning version'], { version: '0.2.0' }, {}],
    ['a wait', ['fault publishing of prod'], {}, { waitsFor: 'the store' }],
    ['nobody who leads', ['fault publishing of prod'], {}, { leaderInstance: null }],
    ['changes that wait', ['warning publishing of prod'], {}, { outbox: 3, outboxAgeSeconds: 6 }],
    ['changes that wait for long', ['fault publishing of prod'], {}, { outbox: 3, outboxAgeSeconds: 31 }],
    ['a store that fails', ['fault store of prod'], {}, { store: { state: 'failing', error: 'full' } }],
    ['a store of another', ['fault store of prod'], {}, { store: { state: 'conflict', error: null } }],
    ['a store that is behind', ['warning store of prod'], {}, { storedRevision: 99 }],
  ])('is told about %s', (_, expected, change, of) => expect(notWell(ready(change, of))).toEqual(expected));
});

const status: NonNullable<NodeFacts['status']> = {
  replica: 'eu-west-1',
  region: 'eu-west',
  environment: 'prod',
  build: '0.1.0',
  state: 'live',
  source: 'stream',
  freshness: 'fresh',
  epoch: 1,
  revision: 200,
  hash: null,
  root: null,
  head: 200,
  lagMs: 3,
  throttle: 'shared',
  nacks: [],
  lastError: null,
  workers: [{ name: 'w1', listening: true, revision: 200 }],
  certificates: [],
};
const node = (change: Partial<typeof status>, more: Partial<NodeFacts> = {}): string[] =>
  notWell(
    looksAtNode(
      { status: { ...status, ...change }, reason: '', notReady: null, skewMs: 0, redisAsked: 0, ...more },
      NOW,
    ),
  );
const lastError = { code: 'store_unreachable', detail: 'it is away', at: '2026-11-22T02:00:00Z' };
const certificate = (days: number, fault: string | null = null) => ({
  certificates: [{ port: 'gateway', file: 'a.crt', notAfter: new Date(NOW + days * 86_400_000).toISOString(), fault }],
});

describe('a replica', () => {
  it.each<[string, string[], string[]]>([
    ['nothing', [], node({})],
    ['that it is not ready', ['fault serving'], node({}, { notReady: 'no revision is loaded yet' })],
    ['workers', ['fault workers'], node({ workers: [{ name: 'w1', listening: false, revision: 0 }] })],
    ['no worker', ['fault workers'], node({ workers: [] })],
    ['that it halted', ['fault sync'], node({ state: 'halted', lastError })],
    [
      'that it is alone',
      ['fault sync', 'warning freshness'],
      node({ state: 'isolated', freshness: 'stale', lastError }),
    ],
    ['that it polls, as it cannot stream', ['warning sync'], node({ state: 'polling', lastError })],
    [
      'that it was removed',
      ['fault sync'],
      node({ state: 'polling', lastError: { ...lastError, code: 'master_refused', detail: 'answered 401' } }),
    ],
    ['no polling that is meant', [], node({ state: 'polling', source: 'store' })],
    ['that it catches up', ['warning sync'], node({ state: 'catching-up' })],
    [
      'what it cannot use',
      ['fault entries'],
      node({ nacks: [{ table: 'plan', key: 'gold', revision: 3, code: 'record_invalid', detail: 'x' }] }),
    ],
    ['no Redis that there is not', [], node({ throttle: 'local' })],
    ['a Redis that is away', ['warning limits'], node({ throttle: 'local' }, { redisAsked: 3 })],
    ['its clock', ['warning clock'], node({}, { skewMs: -5_000 })],
    ['no certificate that is good', [], node(certificate(60))],
    ['a certificate that ends soon', ['warning certificate a.crt'], node(certificate(10))],
    ['a certificate that has ended', ['fault certificate a.crt'], node(certificate(-1))],
    ['a certificate that cannot be read', ['fault certificate a.crt'], node(certificate(60, 'no key'))],
  ])('is told about %s', (_, expected, found) => expect(found).toEqual(expected));
});

const machine: MachineFacts = {
  directory: '/var/lib/heliograph',
  unreadable: null,
  identity: { environment: 'prod', region: 'eu-west', replica: 'eu-west-1', joined: true },
  identityMode: 0o100600,
  stateBytes: 1e8,
  disk: { free: 5e10, size: 1e11 },
  holder: { pid: 7, alive: true },
  files: [{ pid: 7, open: 50, most: 65_536 }],
};
const looked = (change: Partial<MachineFacts>): string[] => notWell(looksAtMachine({ ...machine, ...change }));

describe('the machine of a replica', () => {
  it.each<[string, string[], string[]]>([
    ['nothing', [], looked({})],
    ['a directory that cannot be read', ['fault state directory'], looked({ unreadable: 'EACCES' })],
    ['who it is', ['fault identity'], looked({ identity: null, identityMode: null })],
    ['a token that others may read', ['warning secrecy'], looked({ identityMode: 0o100644 })],
    ['nobody who runs', ['fault process'], looked({ holder: null, files: [] })],
    ['a process that died', ['fault process'], looked({ holder: { pid: 7, alive: false }, files: [] })],
    ['little room', ['warning disk'], looked({ disk: { free: 1e9, size: 1e11 } })],
    ['less room than its state has', ['warning disk'], looked({ stateBytes: 6e10 })],
    ['no room', ['fault disk'], looked({ disk: { free: 1e8, size: 1e11 } })],
    ['few files that may be open', ['warning open files'], looked({ files: [{ pid: 7, open: 50, most: 1024 }] })],
    [
      'too many files',
      ['fault open files'],
      looked({
        files: [
          { pid: 7, open: 1000, most: 1024 },
          { pid: 8, open: 1, most: 65_536 },
        ],
      }),
    ],
  ])('is told about %s', (_, expected, found) => expect(found).toEqual(expected));
});

describe('a store', () => {
  const signer = signerFromPem(newSigningKeyPem());
  const zeros = '00'.repeat(32);
  const fields = { environment: 'prod', epoch: 1, revision: 3, hash: zeros, root: zeros, snapshot: null };
  const bytes = sealHead({ ...fields, issuedAt: NOW - 1000, expiresAt: NOW + 89_000 }, signer);
  const head = verifyHead(bytes, 'prod', new TrustedKeys([signer.publicKey]));
  const facts = {
    environment: 'prod',
    unreadable: null,
    head,
    headFault: null,
    signed: 'rightly' as const,
    missing: [],
  };
  it.each<[string, string[], string[]]>([
    ['nothing', [], notWell(looksAtStore(facts, NOW))],
    ['that it is away', ['fault reachable'], notWell(looksAtStore({ ...facts, unreadable: 'away' }, NOW))],
    ['a head that is missing', ['fault head of prod'], notWell(looksAtStore({ ...facts, head: null }, NOW))],
    [
      'keys that were not given',
      ['warning head of prod'],
      notWell(looksAtStore({ ...facts, signed: 'unchecked' }, NOW)),
    ],
    ['a key of after the join', ['warning head of prod'], notWell(looksAtStore({ ...facts, signed: 'later' }, NOW))],
    ['a head that is old', ['warning age of prod'], notWell(looksAtStore(facts, NOW + 100_000))],
    [
      'what is not there',
      ['fault objects of prod'],
      notWell(looksAtStore({ ...facts, missing: ['prod/delta/3'] }, NOW)),
    ],
  ])('is told about %s', (_, expected, found) => expect(found).toEqual(expected));
});

describe('the work of a master', () => {
  const webhook: WebhookFacts = {
    id: 'w',
    url: 'https://hooks.example.com',
    enabled: true,
    disabledReason: null,
    problem: null,
    failures: 0,
    failingSince: null,
    waiting: 0,
    dead: 0,
  };
  const promotion: PromotionFacts = { id: 'p', to: 'prod', state: 'soaking', since: '', waitsFor: null };
  const ago = (minutes: number): string => new Date(NOW - minutes * 60_000).toISOString();
  const work = (change: Partial<Parameters<typeof looksAtWork>[0]>): string[] =>
    notWell(looksAtWork({ webhooks: [], jobs: [], promotions: [], ...change }, NOW));
  const hook = (change: Partial<WebhookFacts>): string[] => work({ webhooks: [{ ...webhook, ...change }] });
  it.each<[string, string[], string[]]>([
    ['nothing', [], work({ webhooks: [webhook], promotions: [{ ...promotion, since: ago(60) }] })],
    ['a webhook that takes nothing', ['warning deliveries'], hook({ failures: 5, failingSince: ago(11) })],
    ['no webhook that has just failed', [], hook({ failures: 1, failingSince: ago(0.5) })],
    ['a webhook that was disabled', ['warning deliveries'], hook({ enabled: false, disabledReason: '410' })],
    ['a webhook that cannot be sent to', ['fault deliveries'], hook({ problem: 'its secret cannot be read' })],
    [
      'a job that has failed',
      ['fault work'],
      work({ jobs: [{ id: 'j', kind: 'x', subject: 's', attempts: 5, error: 'e' }] }),
    ],
    [
      'a promotion that waits for long',
      ['warning waits'],
      work({ promotions: [{ ...promotion, since: ago(11), waitsFor: 'requests' }] }),
    ],
    [
      'no promotion that begins to wait',
      [],
      work({ promotions: [{ ...promotion, since: ago(1), waitsFor: 'requests' }] }),
    ],
  ])('is told about %s', (_, expected, found) => expect(found).toEqual(expected));
});

it('takes no replica for well that has said nothing for longer than it may be silent', () => {
  const replica = (silentForSeconds: number | null): string[] =>
    notWell(
      looksAtFleet({
        environments: [
          { id: 'prod', regions: [{ id: 'eu', replicas: [{ id: 'eu-1', state: 'live', silentForSeconds }] }] },
        ],
      } as unknown as SystemStatus),
    );
  expect([4, 12, 31, null].map((seconds) => replica(seconds))).toEqual([
    [],
    ['warning heard'],
    ['fault heard'],
    ['fault heard'],
  ]);
});

it('tells why and what to do of everything that is not well', () => {
  const all = [
    ...ready({ database: 'away', signingKey: 'no' }, { leaderInstance: null }),
    ...looksAtMachine({ ...machine, identity: null, holder: null }),
    lookAtClock(60_000),
  ];
  for (const look of all)
    if (look && look.level !== 'ok')
      expect(look).toMatchObject({ matters: expect.stringMatching(/\.$/), next: expect.stringMatching(/./) });
  expect(lookAtClock(60_000)).toMatchObject({
    level: 'fault',
    found: 'its clock is 60.0 s ahead of that of this machine',
  });
});
