import { readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { environmentId, regionId, replicaId } from '#model';
import { z } from 'zod';
import { isAlive } from '../../is-alive.js';
import { jsonOf } from './ask.js';
import type { Finding } from './finding.js';
import { looksAtMachine, type MachineFacts } from './machine-looks.js';

const identityFile = z.object({
  environment: environmentId,
  region: regionId,
  replica: replicaId,
  joined: z.object({ trustedKeys: z.array(z.string()), store: z.string() }).nullable(),
});
export type KeptIdentity = z.infer<typeof identityFile>;

/** A replica, by its state directory and the processes of this machine; nobody is asked. */
export function examineMachine(directory: string): { findings: Finding[]; identity: KeptIdentity | null } {
  const subject = `state ${directory}`;
  const path = join(directory, 'identity.json');
  const unreadable = attempt(() => void readdirSync(directory));
  const parsed = identityFile.safeParse(jsonOf(textOf(path) ?? ''));
  const identity = parsed.success ? parsed.data : null;
  const holder = holderOf(directory);
  const facts: MachineFacts = {
    directory,
    unreadable,
    identity: identity && { ...identity, joined: identity.joined !== null },
    identityMode: modeOf(path),
    stateBytes: sizeOf(join(directory, 'state', 'data.mdb')),
    disk: unreadable === null ? diskOf(directory) : null,
    holder,
    files: holder?.alive ? [holder.pid, ...childrenOf(holder.pid)].flatMap((pid) => filesOf(pid)) : [],
  };
  return { findings: looksAtMachine(facts).map((look) => ({ subject, ...look })), identity };
}

function attempt(work: () => void): string | null {
  try {
    work();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null; // what cannot be read is told of as missing
  }
}

function sizeOf(path: string): number | null {
  try {
    return statSync(path).blocks * 512; // what it takes, not what it could
  } catch {
    return null;
  }
}

function modeOf(path: string): number | null {
  try {
    return statSync(path).mode;
  } catch {
    return null;
  }
}

function diskOf(directory: string): MachineFacts['disk'] {
  const { bavail, blocks, bsize } = statfsSync(directory);
  return { free: bavail * bsize, size: blocks * bsize };
}

/** The lock says who, and when that process began: a number alone is used again. */
function holderOf(directory: string): MachineFacts['holder'] {
  const parsed = z
    .object({ pid: z.number(), began: z.string() })
    .safeParse(jsonOf(textOf(join(directory, 'lock')) ?? ''));
  if (!parsed.success) return null;
  const { pid } = parsed.data;
  return { pid, alive: textOf(`/proc/${pid}/stat`) !== null || isAlive(pid) };
}

function childrenOf(pid: number): number[] {
  return (textOf(`/proc/${pid}/task/${pid}/children`) ?? '').split(' ').filter(Boolean).map(Number);
}

/** Nothing where the system does not tell, or not to this user. */
function filesOf(pid: number): MachineFacts['files'] {
  const [, most] = /^Max open files +(\d+)/m.exec(textOf(`/proc/${pid}/limits`) ?? '') ?? [];
  try {
    return most === undefined ? [] : [{ pid, open: readdirSync(`/proc/${pid}/fd`).length, most: Number(most) }];
  } catch {
    return [];
  }
}
