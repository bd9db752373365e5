import type { Definition } from '#model';
import type { RequestHead } from './request-head.js';

/** Where an API takes its credential from. */
export interface CredentialPlaces {
  /** in lower case */
  header: string;
  /** as people write it */
  headerText: string;
  query: string | null;
  forward: boolean;
}

export function compileCredential(credential: Definition['credential']): CredentialPlaces {
  const headerText = credential?.header ?? 'X-API-Key';
  return {
    header: headerText.toLowerCase(),
    headerText,
    query: credential?.query ?? null,
    forward: credential?.forward ?? false,
  };
}

export interface FoundCredential {
  /** each different value once */
  values: string[];
  /** fields that held one, in lower case */
  headers: string[];
  /** the query without it, `?` included */
  query: string;
}

const BEARER = /^bearer +(.*)$/i;

/** Everything in a request that is a credential of the gateway: the API's header, its query parameter, and Bearer. */
export function findCredentials(head: RequestHead, places: CredentialPlaces, query: string): FoundCredential {
  const found: FoundCredential = { values: [], headers: [], query };
  for (const value of head.values(places.header)) {
    note(found, places.header, places.header === 'authorization' ? (BEARER.exec(value)?.[1] ?? value) : value);
  }
  if (places.header !== 'authorization') {
    for (const value of head.values('authorization')) {
      // other schemes are between the caller and the upstream
      const token = BEARER.exec(value)?.[1];
      if (token !== undefined) note(found, 'authorization', token);
    }
  }
  if (places.query !== null && query !== '') takeFromQuery(found, places.query);
  return found;
}

function note(found: FoundCredential, header: string | null, text: string): void {
  const value = text.trim();
  if (header !== null && !found.headers.includes(header)) found.headers.push(header);
  if (value !== '' && !found.values.includes(value)) found.values.push(value);
}

function takeFromQuery(found: FoundCredential, name: string): void {
  const kept: string[] = [];
  for (const pair of found.query.slice(1).split('&')) {
    const mark = pair.indexOf('=');
    if (decodeQuery(mark < 0 ? pair : pair.slice(0, mark)) === name)
      note(found, null, mark < 0 ? '' : decodeQuery(pair.slice(mark + 1)));
    else kept.push(pair);
  }
  found.query = kept.length > 0 ? `?${kept.join('&')}` : '';
}

/** One character per byte; what is no escape stays as it is. */
function decodeQuery(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
