export { CatchUp, type CatchUpOptions } from './catch-up.js';
export { CatchUpError } from './catch-up-error.js';
