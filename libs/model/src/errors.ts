// oxlint-disable max-lines -- one table, to be read in one place
import type { FieldFault } from '#platform';

interface ErrorEntry {
  status: number;
  title: string;
  /** what makes it happen */
  cause: string;
  /** what the reader can do */
  action: string;
}

const entry = (status: number, title: string, cause: string, action: string): ErrorEntry => ({
  status,
  title,
  cause,
  action,
});

/**
 * The one table of codes that a caller may see, of the master and of gateways. A code never changes its meaning and is
 * never used again for another. docs/errors.md is printed from here.
 */
export const ERRORS = {
  // --- master: the request itself
  invalid_request: entry(
    400,
    'The request is not valid',
    'A field of the body, path or query is wrong; errors[] names each.',
    'Correct the named fields and send again.',
  ),
  malformed_json: entry(
    400,
    'The body is not JSON',
    'The body could not be parsed as JSON.',
    'Send valid JSON in UTF-8 with Content-Type: application/json.',
  ),
  unsupported_media_type: entry(
    415,
    'The content type is not supported',
    'The Content-Type is none that this operation reads.',
    'Use a content type that the detail names.',
  ),
  body_too_large: entry(
    413,
    'The body is too large',
    'The body has more bytes than this operation accepts.',
    'Send less; large sets go through POST /v1/import.',
  ),
  unauthenticated: entry(
    401,
    'No valid access token',
    'The Authorization header is missing, or its token is unknown or withdrawn.',
    'Send Authorization: Bearer <access token>.',
  ),
  forbidden: entry(
    403,
    'The role does not allow this',
    'The access token is valid, but its role may not do this.',
    'Ask an admin for a token with the role that the detail names.',
  ),
  not_found: entry(
    404,
    'There is no such thing',
    'The path, or the item that it names, does not exist.',
    'Check the id; lists show what exists.',
  ),
  method_not_allowed: entry(
    405,
    'The method is not allowed here',
    'The path exists, but not with this method.',
    'Use a method that the Allow header names.',
  ),
  conflict: entry(
    409,
    'It conflicts with what exists',
    'An item with the same name, or in a state that forbids this, exists.',
    'The detail names the other item; change one of the two.',
  ),
  in_use: entry(409, 'It is in use', 'Something else still refers to the item.', 'Remove what the detail names first.'),
  context_taken: entry(
    409,
    'The context path is taken',
    'Another API serves this context path, or one that begins or ends inside it.',
    'Choose another context; the detail names the API that has this one.',
  ),
  unknown_reference: entry(
    422,
    'It refers to something that does not exist',
    'A field names an item that does not exist; errors[] says which.',
    'Create that item first, or correct the name.',
  ),
  definition_invalid: entry(
    422,
    'The definition is not valid',
    'The API definition breaks a rule; errors[] names each place.',
    'Correct the named places and send again.',
  ),
  openapi_invalid: entry(
    422,
    'The OpenAPI document cannot be used',
    'The document is not OpenAPI 3.0 or 3.1, or breaks a rule that routes depend on.',
    'Correct the named places; a validator for OpenAPI finds the rest.',
  ),
  issuer_unavailable: entry(
    502,
    'The keys of the issuer cannot be had',
    'The issuer of tokens, or its metadata, did not answer, or with something that cannot be used; the detail says what.',
    'Correct the named field, or send again when the issuer answers; keys that were fetched before stay in force.',
  ),
  key_hash_unsupported: entry(
    422,
    'The hash of the key is of a kind that cannot be used',
    'An import brought a hash that is no SHA-256 of the whole key: murmur, MD5, bcrypt or another one, which the detail names.',
    'Import the key itself as `secret`, or issue a new key: no key can be made from its hash.',
  ),
  idempotency_mismatch: entry(
    422,
    'The Idempotency-Key was used for another request',
    'The same key came with another method, path or body.',
    'Use a new key for a new request.',
  ),
  precondition_failed: entry(
    412,
    'It was changed in the meantime',
    'If-Match names another state of the item than it has now.',
    'Read the item again, and send the change with its new ETag.',
  ),
  precondition_required: entry(
    428,
    'If-Match is missing',
    'Updates need the ETag of the state that they change.',
    'Read the item, and send its ETag as If-Match.',
  ),
  too_many_exports: entry(
    429,
    'Too many exports are under way here',
    'Each export holds a connection to the database until it is read to its end.',
    'Wait as long as Retry-After says, or ask another master.',
  ),
  documents_invalid: entry(
    422,
    'The documents cannot be applied',
    'Documents say what is not valid, refer to what does not exist, or ask for what cannot be changed; errors[] names each by a JSON pointer.',
    'Correct what the pointers name and apply again; nothing was written.',
  ),
  owned_elsewhere: entry(
    409,
    'It belongs to another set',
    'Documents are about something that the documents of another set declare.',
    'Take it out of one of the two sets, or apply with take to make it yours.',
  ),
  prune_unconfirmed: entry(
    422,
    'Everything that the set owns would be deleted',
    'An apply with prune has no document: more often a directory that was not there than a wish.',
    'Send the documents. Where all of it is to go, ask with dryRun first, look at what goes, and send its plan as expect.',
  ),
  plan_changed: entry(
    409,
    'The plan is another one now',
    'What was to be changed has changed since the plan was made.',
    'Look at the new plan, and apply that.',
  ),
  promotion_open: entry(
    409,
    'A promotion of the API is open',
    'While a promotion of an API is open in an environment, it alone decides what is placed there.',
    'Wait for the end of the promotion that the detail names, or abort it.',
  ),
  promotion_state: entry(
    409,
    'The promotion is in another state',
    'What was asked for is not possible in the state that the promotion is in, or no more.',
    'Read the promotion again; the detail names its state.',
  ),
  not_promotable: entry(
    409,
    'The release may not be promoted there',
    'The release does not serve in the environment before, or is being promoted there; or, for a rollback, it never served.',
    'Promote it to the environment before first. An admin may skip that, with a reason.',
  ),
  join_token_invalid: entry(
    401,
    'The join token is not valid',
    'The join token is unknown, used up, expired, or for another region.',
    'Ask an operator for a new join token.',
  ),
  internal: entry(
    500,
    'Something went wrong here',
    'A fault of the master or replica that answered, written to its log under the request id.',
    'Send again; if it stays, give the request id to an operator.',
  ),
  database_unavailable: entry(
    503,
    'The database does not answer',
    'PostgreSQL cannot be reached or refuses.',
    'Send again later; an Idempotency-Key makes that safe.',
  ),
  too_many_streams: entry(
    503,
    'Too many streams of events are open here',
    'As many readers follow promotions at this master as it serves at a time.',
    'Read from another master, or again later with Last-Event-ID; GET /v1/promotions/{promotion} says where it is.',
  ),
  too_many_tails: entry(
    503,
    'Too many look at requests here',
    'As many readers look at requests as this master, or this replica, serves at a time.',
    'End one, or ask another master.',
  ),
  local_only: entry(
    403,
    'Only this machine may ask for that',
    'The admin port of a replica asks nobody for a token, and requests tell who calls what.',
    'Ask on the machine of the replica (ssh, docker exec, kubectl exec), or a master: helio tail.',
  ),
  chain_unavailable: entry(
    503,
    'The chain is not served here now',
    'The artifact store does not answer this master, too many read from it at once, or this master stops or must not pass on the chain.',
    'Read from the artifact store, another master or another replica, or again later; replicas do so by themselves.',
  ),
  fenced_off: entry(
    503,
    'Another master has taken over',
    'The artifact store, or a replica, has what another master with another database has published there: a newer term, or another history.',
    'Send to the other master. GET /v1/environments/{environment}/office says which one it is; an operator decides there if this one is to go on.',
  ),
  // --- gateway: the credential
  credential_missing: entry(
    401,
    'A credential is needed',
    'The request carries no key and no access token.',
    'Send one as the detail says.',
  ),
  credential_unknown: entry(
    401,
    'The credential is not known',
    'No such key, or no such client of an issuer, in this environment; a client that was revoked is one of these.',
    'Check the key or client, and that it was issued for this environment.',
  ),
  credential_expired: entry(
    401,
    'The credential has expired',
    'The key or access token was valid until a moment that has passed.',
    'Use the key that replaced it, or issue a new one; obtain a new token.',
  ),
  credential_revoked: entry(
    401,
    'The credential was revoked',
    'The key, the access token, or all tokens that its client had until a moment, were revoked and never become valid again.',
    'Issue a new key; obtain a new token.',
  ),
  credential_invalid: entry(
    401,
    'The access token is not valid',
    'It is malformed or forged, signed by a key or algorithm that is not trusted, or meant for another environment.',
    'Obtain a token from an issuer that the environment trusts; the detail says what is wrong with this one.',
  ),
  credential_not_yet_valid: entry(
    401,
    'The access token is not valid yet',
    'Its nbf or iat is more than a minute ahead of the clock of the replica.',
    'Set the clocks of the issuer and of the replica, or wait.',
  ),
  credential_unchecked: entry(
    503,
    'The access token could not be verified',
    'The gateway has spent its time for tokens that it has not seen before, as when many forged ones are sent.',
    'Send it again after Retry-After. Tokens that were verified before are not concerned.',
  ),
  application_suspended: entry(
    403,
    'The application is suspended',
    'The application that owns the credential is suspended.',
    'Ask the platform team to reactivate it.',
  ),
  not_subscribed: entry(
    403,
    'The application is not subscribed to this API',
    'The credential is valid, but its application has no active subscription to this API.',
    'Subscribe the application on one of the plans of the API.',
  ),
  ip_denied: entry(
    403,
    'The address is not allowed',
    'The IP lists of the API, or of the credential, exclude the address of the caller.',
    'Call from an allowed address.',
  ),
  insufficient_scope: entry(
    403,
    'The credential lacks a scope',
    'The route requires scopes, and the key or access token does not have all of them.',
    'Obtain a token with the scopes that the detail names, or a key that has them.',
  ),
  gateway_only: entry(
    403,
    'Only the gateway itself answers this',
    'Another gateway asked /auth about a request to a route with the policy mock, which must not go upstream.',
    "Send requests for this route to the replica's own gateway, or have the other gateway answer them.",
  ),
  // --- gateway: the request
  no_such_api: entry(
    404,
    'No API is served under this path',
    'No context path of this region matches.',
    'Check the path and the region; the API may not be placed here.',
  ),
  no_such_route: entry(
    404,
    'The API has no such route',
    'The API is served, but no route matches the rest of the path.',
    'Check the path against the definition of the API.',
  ),
  bad_request: entry(
    400,
    'The request cannot be understood',
    'The request line, a header field or the path is malformed.',
    'Correct what the detail names.',
  ),
  behind_min_revision: entry(
    425,
    'This replica has not got that revision yet',
    'Heliograph-Min-Revision, or min of /readyz, asks for a newer state than is loaded. 425 at a gateway; /readyz answers 503.',
    'Send again after Retry-After.',
  ),
  rate_limited: entry(
    429,
    'The rate limit is used up',
    'More requests than a rate of the plan allows at a time: of the caller, of the route or of the API as a whole; the document says which.',
    'Wait as long as Retry-After says.',
  ),
  quota_exhausted: entry(
    429,
    'The quota is used up',
    'A quota of the plan is used up for this window: of the caller, of the route or of the API as a whole; the document says which.',
    'Wait for the next window, or change the plan.',
  ),
  plan_missing: entry(
    503,
    'A plan is not known here',
    'The API limits its open routes by a plan of which this replica has no version that it can use.',
    'Look at what the status of the replica says is set aside; a newer build may be able to use it.',
  ),
  too_stale: entry(
    503,
    'The state of this region is too old',
    'The API refuses to be served from a state older than its maxStaleness.',
    'Send to another region, or wait until the region is connected again.',
  ),
  not_ready: entry(
    503,
    'This replica has no state yet',
    'The replica was started with an empty disk and has not reached any source.',
    'Send to another replica; the status of this one says what it waits for.',
  ),
  // --- gateway: the upstream
  upstream_failed: entry(
    502,
    'The upstream did not answer properly',
    'The connection to the upstream broke before its answer, or the answer was malformed.',
    'Look at the upstream; the access log names the target.',
  ),
  upstream_tls_failed: entry(
    502,
    'No secure connection to the upstream',
    'The certificate of the upstream is not trusted, has expired or is for another name; or the one that it is to be shown is missing, has expired or was refused. An upstream of TLS 1.3 that refuses it by closing the connection, without an alert, is `upstream_failed`.',
    "Look into the replica's log for the reason. Nothing goes to an upstream that was not verified.",
  ),
  no_healthy_upstream: entry(
    503,
    'No healthy upstream',
    'The API has no target in this region that can be reached, or none that passes its health check.',
    'Look at the targets of the API in this region.',
  ),
  circuit_open: entry(
    503,
    'The upstream is left alone for a while',
    'Of the latest requests to each target more failed than the circuit breaker of the API allows; nothing was sent.',
    'Send again after Retry-After. Look at the upstream: its failures are why.',
  ),
  upstream_overloaded: entry(
    503,
    'The upstream has no room for more requests',
    'Connections to each target, and requests that wait for one, are as many as the circuit breaker of the API allows; nothing was sent.',
    'Send again after Retry-After. Look at why the upstream is slow, or raise maxConnections or maxWaiting.',
  ),
  upstream_timeout: entry(
    504,
    'The upstream took too long',
    'The upstream did not answer within the timeout of the API.',
    'Look at the upstream, or raise its responseTimeoutMs.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** The `type` of a problem document: a name, since a gateway has no page of its own to point to. */
export function problemType(code: ErrorCode): string {
  return `urn:heliograph:error:${code}`;
}

/** What `errors.ts` makes of a failure on its way to the caller: everything in it may be shown. */
export class HelioError extends Error {
  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    readonly fields: FieldFault[] = [],
    readonly headers: Record<string, string> = {},
    readonly status: number = ERRORS[code].status,
  ) {
    super(`${code}: ${detail}`);
    this.name = 'HelioError';
  }
}

/**
 * Makes (does not throw) an error with a code of the table, to be thrown by the caller.
 *
 * @param detail one sentence for the caller about this very case: no secret, no stack
 * @param more `status` where HTTP has a more exact one than the code
 */
export function fail(
  code: ErrorCode,
  detail: string,
  more: { fields?: FieldFault[]; headers?: Record<string, string>; status?: number } = {},
): HelioError {
  return new HelioError(code, detail, more.fields, more.headers, more.status);
}
