import { z } from 'zod';
import { endpoint, OPERATORS, VIEWERS } from '../http/endpoint.js';
import { pageOf, pageQuery } from '../http/paging.js';

const tag = 'jobs';
const JOB_STATES = ['waiting', 'running', 'failed'] as const;
const id = z.string().min(1).max(200);
const params = z.strictObject({ job: id });

export const jobView = z
  .object({
    id,
    kind: z.string(),
    subject: z.string().meta({ description: 'What it is about: for a promotion, its id.' }),
    state: z.enum(JOB_STATES),
    runAt: z.iso.datetime().meta({ description: 'When it is its turn, or was.' }),
    attempts: z.int().meta({ description: 'Since it was last done or looked at without a failure.' }),
    worker: z.string().nullable().meta({ description: 'The master that runs it, or ran it last.' }),
    error: z.string().nullable().meta({ description: 'Of the last attempt, if that failed.' }),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Job' });
export type JobView = z.infer<typeof jobView>;

export const listJobs = endpoint({
  method: 'GET',
  path: '/jobs',
  tag,
  summary: 'What waits, runs and has failed',
  description: 'What is done is not there any more.',
  access: VIEWERS,
  query: z.strictObject({ ...pageQuery, state: z.enum(JOB_STATES).optional() }),
  answers: { 200: pageOf(jobView) },
});

export const retryJob = endpoint({
  method: 'POST',
  path: '/jobs/:job/retry',
  tag,
  summary: 'Try a job again now',
  description: 'One that has failed for good is only tried again when it is asked for.',
  access: OPERATORS,
  params,
  answers: { 200: jobView },
  errors: ['not_found', 'conflict'],
});
