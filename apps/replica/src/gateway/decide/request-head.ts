/** What `decide` gets to see of a request. Made by whatever parsed it; text is one character per byte (latin1). */
export interface RequestHead {
  method: string;
  /** the request target as it was sent, query included */
  target: string;
  /** every value of a field, in the order of the request; empty when it is absent. `name` in lower case */
  values(name: string): readonly string[];
  /** of the client; null where nobody knows it, and then IP lists are not asked */
  remoteAddress: string | null;
  /** absent: http */
  scheme?: 'http' | 'https';
  /** names the request in answers and logs */
  requestId: string;
}

const SANE_REQUEST_ID = /^[A-Za-z0-9._~+/=:@-]{1,128}$/;

/** The caller's own X-Request-Id if it is harmless in headers and logs, else a new one. */
export function requestIdOf(given: readonly string[], make: () => string): string {
  const [only, ...more] = given;
  return only !== undefined && more.length === 0 && SANE_REQUEST_ID.test(only) ? only : make();
}
