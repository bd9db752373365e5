import type { Logger } from '#platform';
import type { AddressBook } from './address-book.js';
import type { ClientCertificates } from './client-certificates.js';

/** What all pools of a worker have together. */
export interface PoolParts {
  /** monotonic milliseconds; may be some hundred behind */
  now: () => number;
  addresses: AddressBook;
  certificates: ClientCertificates;
  log: Logger;
  /** a bug was caught */
  onFault: (error: unknown) => void;
}
