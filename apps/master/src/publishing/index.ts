export {
  type ChainHead,
  ChainReader,
  type RevisionDetail,
  type RevisionSummary,
} from './chain-reader.js';
export type { Entry } from './entries.js';
export {
  applicationMark,
  clientMark,
  issuerMark,
  keyMark,
  markEnvironment,
  placementMark,
  planMark,
  revokedTokenMark,
  trustedKeysMark,
} from './marks.js';
export { MasterTalk } from './master-talk.js';
export { type Decision, DECISIONS, type Fence } from './office/fence.js';
export { Office } from './office/office.js';
export { type ReplicaAhead, ReplicaSupplies, type ReplicaSupply } from './office/replica-supply.js';
export { trustOf } from './office/trust.js';
export { Publications, type Published, type SealedBytes } from './publications.js';
export { PublisherHint } from './publisher-hint.js';
export { type EnvironmentHealth, PublishingHealth } from './publishing-health.js';
export { PublishingModule } from './publishing.module.js';
export { RevisionLookup } from './revision-lookup.js';
export { audienceOf } from './token-loaders.js';
