export { ChainMaker, entryNameOf } from './chain-maker.js';
export { type OpenedStore, storeConformance } from './store-conformance.js';
