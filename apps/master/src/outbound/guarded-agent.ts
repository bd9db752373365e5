import { lookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent } from 'undici';
import type { Reachable } from './reachable.js';

/** What could not be had from, or be told to, somebody outside, and why, for people. */
export class Unavailable extends Error {}

/** What a name stands for, all of it. */
export type Resolve = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

const CONNECT_MS = 5_000;

/** Connects to where `target` is, and only to addresses that `reachable` allows: a name is resolved once, and checked then. One connection. */
export function guardedAgent({ protocol }: URL, reachable: Reachable, resolve: Resolve = lookup): Agent {
  return new Agent({
    connect: { lookup: checkedLookup(reachable, protocol === 'https:', resolve), timeout: CONNECT_MS },
    connections: 1,
  });
}

/** @throws Unavailable for what is no URL, has a user in it, or names an address that is not to be asked: those are never resolved */
export function targetOf(url: string, reachable: Reachable): URL {
  const target = URL.canParse(url) ? new URL(url) : null;
  if (!target || (target.protocol !== 'https:' && target.protocol !== 'http:'))
    throw new Unavailable(`"${url.slice(0, 200)}" is no http or https URL`);
  if (target.username !== '' || target.password !== '')
    throw new Unavailable('the URL must not have a user or a password');
  const address = target.hostname.replace(/^\[|\]$/g, '');
  const problem = isIP(address) === 0 ? null : reachable.problemOf(address, target.protocol === 'https:');
  if (problem !== null) throw new Unavailable(problem);
  return target;
}

function checkedLookup(reachable: Reachable, tls: boolean, resolve: Resolve): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '');
      const problem = addresses.map(({ address }) => reachable.problemOf(address, tls)).find((each) => each !== null);
      const [first] = addresses;
      if (problem !== undefined) callback(new Unavailable(`${hostname}: ${problem}`), '');
      else if (!first) callback(new Unavailable(`${hostname} has no address`), '');
      else if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
