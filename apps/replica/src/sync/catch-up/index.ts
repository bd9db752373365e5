export { CatchUp } from './catch-up.js';
export { CatchUpError } from './catch-up-error.js';
