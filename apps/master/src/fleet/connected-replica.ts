/** A replica on a connection of its own to this process. */
export interface ConnectedReplica {
  id: string;
  region: string;
  environment: string;
  /** what it was let in with; once it joins again, this connection speaks for it no more */
  tokenHash: Buffer;
  /** by PostgreSQL's clock, and as it writes it: of two connections, anywhere, the newer one counts */
  since: string;
}
