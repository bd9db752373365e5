import { Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { Jobs, SWEEP_MS } from './jobs.js';

@Injectable()
export class JobsSweep {
  constructor(private readonly jobs: Jobs) {}

  @Interval('jobs-sweep', SWEEP_MS)
  sweep(): Promise<void> {
    return this.jobs.sweep();
  }
}
