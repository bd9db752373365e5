import type { NodeStatus } from '../status-view.js';

/** Injection token of the replica, as the admin port sees it. */
export const NODE = Symbol('Node');

export interface Node {
  status(): NodeStatus;
  /** Prometheus text of this process and of the gateway workers */
  metrics(): Promise<string>;
}
