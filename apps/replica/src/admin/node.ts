import type { Tails } from '../gateway/tails.js';
import type { NodeStatus } from '../status-view.js';
import type { Artifact } from '../sync/chain-shelf.js';

/** Injection token of the replica, as the admin port sees it. */
export const NODE = Symbol('Node');
/** ... and of its log. */
export const LOG = Symbol('Log');

export interface Node {
  status(): NodeStatus;
  /** Prometheus text of this process and of the gateway workers */
  metrics(): Promise<string>;
  /** an artifact of the chain, for peers; null for what is not here */
  artifact(name: string): Artifact | null;
  /** of those who look at requests */
  readonly tails: Tails;
}
