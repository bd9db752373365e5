import { jobQueueConformance } from '../testing/job-queue-conformance.js';
import { InProcessQueue } from './in-process-queue.js';

jobQueueConformance('in process', () => new InProcessQueue(() => performance.now()));
