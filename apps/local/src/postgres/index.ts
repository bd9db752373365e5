export { stopCluster } from './cluster.js';
export { startPostgres } from './server.js';
