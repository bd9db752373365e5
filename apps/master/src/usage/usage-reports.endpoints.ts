import { usageAnswer, usageReport } from '#model';
import { endpoint } from '../http/endpoint.js';

export const reportUsage = endpoint({
  method: 'POST',
  path: '/replicas/usage',
  tag: 'replicas',
  summary: 'Report what a replica has counted in an hour',
  description:
    'For a replica without a stream. It is written when it is answered; the greatest count of each series counts, so that a report can be sent again.',
  access: 'replica',
  bodyLimit: 256 * 1024,
  body: usageReport,
  answers: { 200: usageAnswer },
  errors: ['body_too_large'],
});
