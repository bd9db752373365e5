import type { Fault } from '../wire/head-parser.js';

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** What could not be in a first line of HTTP/1.1 would end it there. */
const VISIBLE = /^[\x21-\x7e]+$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const PSEUDO = new Set([':method', ':scheme', ':authority', ':path']);
/** RFC 9113, 8.2.2 */
const OF_ONE_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

/**
 * The head of an HTTP/2 request as the HTTP/1.1 request that means the same, so that one parser and one set of rules
 * decide about both. What nghttp2 should have refused is refused again: whatever could end a line, or say something about
 * the connection or the framing, would say it to an upstream.
 *
 * @param raw names and values in turn, one character per byte, in the order of the request
 * @param ends nothing follows the head
 */
export function headText(raw: readonly string[], ends: boolean): string | Fault {
  const pseudo = new Map<string, string>();
  let host: string | null = null;
  let cookie = '';
  let lines = '';
  let hasLength = false;
  let regular = false;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    if (!FIELD_VALUE.test(value)) return VALUE_FAULT;
    if (name.startsWith(':')) {
      if (regular || !PSEUDO.has(name) || pseudo.has(name)) return PSEUDO_FAULT;
      pseudo.set(name, value);
      continue;
    }
    regular = true;
    if (!FIELD_NAME.test(name)) return NAME_FAULT;
    if (OF_ONE_CONNECTION.has(name) || (name === 'te' && value.toLowerCase() !== 'trailers')) return CONNECTION_FAULT;
    if (name === 'host') {
      if (host !== null) return HOSTS_FAULT;
      host = value;
    } else if (name === 'cookie') {
      cookie += cookie === '' ? value : `; ${value}`; // RFC 9113, 8.2.3
    } else {
      hasLength ||= name === 'content-length';
      lines += `${name}: ${value}\r\n`;
    }
  }
  const line = firstLines(pseudo, host);
  if (typeof line !== 'string') return line;
  if (cookie !== '') lines += `cookie: ${cookie}\r\n`;
  if (!ends && !hasLength) lines += 'transfer-encoding: chunked\r\n';
  return `${line}${lines}\r\n`;
}

function firstLines(pseudo: ReadonlyMap<string, string>, host: string | null): string | Fault {
  const method = pseudo.get(':method') ?? '';
  const path = pseudo.get(':path') ?? '';
  const authority = pseudo.get(':authority') ?? host ?? '';
  if (method === 'CONNECT') return CONNECT_FAULT;
  if (!METHOD.test(method)) return METHOD_FAULT;
  if (!VISIBLE.test(path)) return PATH_FAULT;
  if (pseudo.get(':scheme') !== 'https') return SCHEME_FAULT;
  if (!VISIBLE.test(authority)) return AUTHORITY_FAULT;
  if (host !== null && host.toLowerCase() !== authority.toLowerCase()) return HOSTS_FAULT;
  return `${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\n`;
}

const fault = (detail: string, status = 400): Fault => ({ status, detail });
const VALUE_FAULT = fault('a header field has a character that must not be in one');
const NAME_FAULT = fault('the name of a header field must be a token in lower case');
const PSEUDO_FAULT = fault('a request has :method, :scheme, :authority and :path, once, and before all other fields');
const CONNECTION_FAULT = fault('a header field means one connection of HTTP/1.1, and must not be in HTTP/2');
const HOSTS_FAULT = fault('host must be there once at most, and say the same as :authority');
const METHOD_FAULT = fault('the request must have a :method');
const PATH_FAULT = fault('the request must have a :path, all characters but visible ones percent-encoded');
const SCHEME_FAULT = fault('the :scheme of the request must be https, as the connection is');
const AUTHORITY_FAULT = fault('the request must have an :authority');
const CONNECT_FAULT = fault('the gateway is no tunnel: CONNECT is not served', 501);
