export {
  type ChainHead,
  ChainReader,
  type RevisionDetail,
  type RevisionSummary,
} from './chain-reader.js';
export type { Entry } from './entries.js';
export { applicationMark, keyMark, markEnvironment, placementMark, planMark } from './marks.js';
export { Publications, type Published } from './publications.js';
export { PublisherHint } from './publisher-hint.js';
export { PublishingHealth } from './publishing-health.js';
export { PublishingModule } from './publishing.module.js';
export { RevisionLookup } from './revision-lookup.js';
