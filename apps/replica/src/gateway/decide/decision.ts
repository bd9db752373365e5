import type { ErrorCode } from '#model';
import type { CompiledApi, CompiledRoute } from './compile/compile-api.js';

/** Whose credential it was, and what it may do here. */
export interface Consumer {
  /** the application's id */
  application: string;
  subscription: string;
  plan: string;
  /** what the chain names the credential by, one character per byte: the key, or the client of a token */
  key: string | null;
  client: string | null;
  /** of the credential, milliseconds since 1970; null: never */
  expiresAt: number | null;
}

/** What a decision is about, as far as it got. */
interface Subject {
  api: CompiledApi | null;
  route: CompiledRoute | null;
  consumer: Consumer | null;
}

/** The gateway answers itself. */
export interface Respond extends Subject {
  kind: 'respond';
  status: number;
  /** names and values in turn; the engine adds what frames the message, and X-Request-Id */
  headers: readonly string[];
  body: string;
  /** null for an answer that is no refusal: a mock, a preflight */
  code: ErrorCode | null;
}

/** The request goes upstream. */
export interface Forward extends Subject {
  kind: 'forward';
  api: CompiledApi;
  route: CompiledRoute;
  /** what follows the target's own path: empty, or a path, and the query; as it was sent, credential taken out */
  path: string;
  /**
   * path and query as they were sent, credential taken out: what kept answers are found by, and what writes outdate; null
   * where the API keeps none
   */
  uri: string | null;
  /** fields that carried the credential and stay here, in lower case */
  withheld: readonly string[];
  /** what the answer gets besides the upstream's, names and values in turn */
  headers: readonly string[];
}

/** Something has to be fetched for it, such as tokens: do that, and decide again when it has settled. Nothing was spent. */
export interface Wait {
  kind: 'wait';
  /** never rejects */
  fetch: () => Promise<void>;
}

export type Decision = Respond | Forward | Wait;
