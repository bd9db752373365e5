export { describeWith } from './needs.js';
export {
  type RedisService,
  type S3Service,
  s3Client,
  startCluster,
  startMinio,
  startRedis,
  startSentinel,
  startVersityGw,
} from './services.js';
export { type AppOptions, type AppProcess, build, startApp } from './app-process.js';
export { type CertificateWish, makeCertificate, type TestCertificate } from './certificates.js';
export { type Answer, Client, UnexpectedAnswer } from './client.js';
export { type FaultProxy, faultProxy, type StoreFault } from './fault-proxy.js';
export { type Ended, helio, helioOnPath, type HelioOptions, onTerminal, type Terminal, terminalOf } from './helio.js';
export { type Family, readExposition } from './exposition.js';
export { freePorts } from './free-ports.js';
export { type Master, type MasterOptions, startMaster } from './master.js';
export { type Nginx, type NginxConfig, startNginx } from './nginx.js';
export { pauseProcess } from './pause-process.js';
export { copyDatabase, type FreshDatabase, freshDatabase, postgres } from './postgres.js';
export { type Alert, type Prometheus, promtool, startPrometheus } from './prometheus.js';
export { type Fault, type RecordedRequest, type RecordingUpstream, recordingUpstream } from './recording-upstream.js';
export { RedisCluster, RedisServer, WatchedRedis } from './redis-server.js';
export { type Replica, type ReplicaOptions, startReplica } from './replica.js';
export { until } from './until.js';
