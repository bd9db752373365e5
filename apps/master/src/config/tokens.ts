/** Injection tokens for what is made in the composition root. */
export const CONFIG = Symbol('MasterConfig');
export const LOG = Symbol('Logger');
export const STORE = Symbol('ArtifactStore');
