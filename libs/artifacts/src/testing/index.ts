export { ChainMaker, entryNameOf } from './chain-maker.js';
export { type OpenedReader, readerConformance } from './reader-conformance.js';
export { smallDisk } from './small-disk.js';
export { type OpenedStore, storeConformance } from './store-conformance.js';
