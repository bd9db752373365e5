import { fault, fine, type Look, warning } from './finding.js';

/** What the replica's own machine tells, with nobody to be asked. */
export interface MachineFacts {
  directory: string;
  /** why it cannot be looked at; null: it can */
  unreadable: string | null;
  /** of `identity.json`; null: there is none, or none that can be read */
  identity: { environment: string; region: string; replica: string; joined: boolean } | null;
  /** permissions of `identity.json` */
  identityMode: number | null;
  stateBytes: number | null;
  disk: { free: number; size: number } | null;
  /** who has the lock, and whether it lives; null: nobody */
  holder: { pid: number; alive: boolean } | null;
  /** open files of each process of the replica; none where that cannot be seen */
  files: { pid: number; open: number; most: number }[];
}

const GIB = 1024 ** 3;
const FREE_BYTES = { warning: 2 * GIB, fault: 256 * 1024 * 1024 };
/** A client's connection and that to the upstream are two. */
const OPEN_FILES = 20_000;
const FULL_SHARE = 0.8;

export function looksAtMachine(facts: MachineFacts): Look[] {
  const { directory, unreadable, identity, holder } = facts;
  if (unreadable !== null)
    return [
      fault(
        'state directory',
        `${directory}: ${unreadable}`,
        'A replica keeps there what it serves.',
        'Name the HELIO_STATE_DIR of the replica, and run this as its user.',
      ),
    ];
  return [
    identity
      ? fine(
          'identity',
          `${identity.replica}, ${identity.region} of ${identity.environment}${identity.joined ? ', joined' : ', by its settings alone'}`,
        )
      : fault(
          'identity',
          'there is no identity.json that can be read',
          'No replica has begun here, or this is not its directory.',
          'Name the HELIO_STATE_DIR of the replica; a new one joins with HELIO_JOIN_TOKEN.',
        ),
    ...looksAtSecrecy(facts),
    holder?.alive
      ? fine('process', `it runs as process ${holder.pid}`)
      : fault(
          'process',
          holder
            ? `process ${holder.pid} has gone without giving the directory back`
            : 'no replica runs on this directory',
          'Nobody serves from it.',
          'Start it: it serves what is on the disk before it looks for anybody.',
        ),
    ...looksAtDisk(facts),
    ...looksAtFiles(facts),
  ];
}

function looksAtSecrecy({ identityMode, directory }: MachineFacts): Look[] {
  if (identityMode === null || (identityMode & 0o077) === 0) return [];
  return [
    warning(
      'secrecy',
      `identity.json may be read by others (mode ${(identityMode & 0o777).toString(8)})`,
      'It has the token by which this replica speaks to the master.',
      `chmod 600 ${directory}/identity.json`,
    ),
  ];
}

function looksAtDisk({ disk, stateBytes, directory }: MachineFacts): Look[] {
  if (!disk) return [];
  const mib = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MiB`;
  const found = `${mib(disk.free)} of ${mib(disk.size)} are free, the state has ${mib(stateBytes ?? 0)}`;
  const matters =
    'A disk that is full keeps revisions from being applied: what is loaded goes on serving, and nothing new comes.';
  // a snapshot is written beside what there is
  const wanted = Math.max(FREE_BYTES.warning, stateBytes ?? 0);
  if (disk.free < FREE_BYTES.fault) return [fault('disk', found, matters, `Make room where ${directory} is.`)];
  if (disk.free < wanted) return [warning('disk', found, matters, `Make room where ${directory} is.`)];
  return [fine('disk', found)];
}

function looksAtFiles({ files }: MachineFacts): Look[] {
  return files
    .map(({ pid, open, most }): Look => {
      const found = `process ${pid} has ${open} of ${most} open`;
      const matters =
        'Each connection of a client and to an upstream is an open file; without one left connections are refused.';
      const next = 'Raise it: LimitNOFILE of systemd, --ulimit nofile of a container.';
      if (open > most * FULL_SHARE) return fault('open files', found, matters, next);
      return most < OPEN_FILES ? warning('open files', found, matters, next) : fine('open files', found);
    })
    .toSorted((a, b) => Number(a.level === 'ok') - Number(b.level === 'ok'))
    .filter(({ level }, at) => level !== 'ok' || at === 0);
}
