import type { RequestHead } from '../../decide/request-head.js';

/** gRPC itself. gRPC-Web (`application/grpc-web`) keeps its trailers in the body, and is a request like any other. */
const CONTENT_TYPE = /^application\/grpc(?:$|[+; ])/i;

export function isGrpc(head: RequestHead): boolean {
  return head.values('content-type').some((value) => CONTENT_TYPE.test(value));
}

/** For programs that call; printable ASCII without %. */
export const GRPC_REFUSAL =
  'this gateway does not pass on gRPC: upstreams are asked in HTTP/1.1, which has no place for its trailers; use gRPC-Web';
