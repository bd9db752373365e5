export interface RedisAddress {
  kind: 'single' | 'sentinel' | 'cluster';
  /** of servers, of sentinels, or of some members of the cluster */
  hosts: { host: string; port: number }[];
  tls: boolean;
  username: string | null;
  password: string | null;
  database: number;
  /** as the sentinels call it; null without them */
  master: string | null;
}

const FORM = /^(rediss?)(\+sentinel|\+cluster)?:\/\/(?:([^@/]*)@)?([^@/?#]*)(?:\/([^?#]*))?$/;
const HOST = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;
const FORMS =
  'must be redis://user:password@host:6379/0, rediss:// for TLS, redis+sentinel://host:26379,host:26379/master-name, ' +
  'or redis+cluster://host:6379,host:6379; in a password, write special characters as %40 and the like';

/**
 * One server, a master that sentinels name, or a cluster.
 *
 * @throws TypeError that says what is wrong, without what the text says: there may be a password in it
 */
export function parseRedisUrl(text: string): RedisAddress {
  const match = FORM.exec(text);
  if (!match) throw new TypeError(FORMS);
  const [, scheme, role, login, list = '', path = ''] = match;
  const kind = role === '+sentinel' ? 'sentinel' : role === '+cluster' ? 'cluster' : 'single';
  const hosts = list.split(',').map((part, index) => hostOf(part, index, kind === 'sentinel' ? 26379 : 6379));
  if (kind === 'single' && hosts.length > 1)
    throw new TypeError('names several servers: is it redis+cluster:// or redis+sentinel://?');
  const [first = '', second = ''] = path.split('/');
  if (kind === 'sentinel' && first === '')
    throw new TypeError('must end with the name by which the sentinels know the master, like /mymaster');
  const number = kind === 'sentinel' ? second : path;
  if (kind === 'cluster' && path !== '') throw new TypeError('names a database; a cluster has only one');
  if (!/^\d{0,4}$/.test(number))
    throw new TypeError('must have the number of a database after the last "/", or nothing');
  return {
    kind,
    hosts,
    tls: scheme === 'rediss',
    ...loginOf(login),
    database: Number(number),
    master: kind === 'sentinel' ? decoded(first) : null,
  };
}

function hostOf(part: string, index: number, port: number): { host: string; port: number } {
  const match = HOST.exec(part);
  const given = Number(match?.[2] ?? port);
  if (!match?.[1] || given < 1 || given > 65_535)
    throw new TypeError(`its server ${index + 1} is not host:port; it ${FORMS}`);
  return { host: match[1].replace(/^\[|\]$/g, ''), port: given };
}

function loginOf(login: string | undefined): { username: string | null; password: string | null } {
  if (login === undefined) return { username: null, password: null };
  const colon = login.indexOf(':');
  if (colon < 0) throw new TypeError('has a user without a password; it must be user:password@, or :password@');
  return { username: decoded(login.slice(0, colon)) || null, password: decoded(login.slice(colon + 1)) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError('has a "%" that is not followed by two hexadecimal digits');
  }
}
