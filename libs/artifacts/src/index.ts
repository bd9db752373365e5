export * from './chain/head.js';
export * from './chain/revision.js';
export * from './chain/signing.js';
export * from './chain/state-root.js';
export * from './format/body.js';
export * from './format/header.js';
export * from './format/limits.js';
export * from './store/index.js';
