export {
  type ArtifactReader,
  type ArtifactStore,
  type Conditional,
  type Replaced,
  type StoreAbilities,
  StoreError,
  type StoreErrorCode,
  type StoredObject,
} from './artifact-store.js';
export { directoryFault } from './directory-fault.js';
export { HttpReader } from './http-reader.js';
export { blobName, deltaName, headName, releaseName, segmentName, snapshotName } from './names.js';
export { openStore, type StoreOptions } from './open-store.js';
export { patientReader, patientStore } from './patient.js';
export type { S3Settings } from './s3-client.js';
