import { Injectable } from '@nestjs/common';
import type { Entry } from './entries.js';
import { Publishers } from './publishers.js';

/** Wakes publishers after a commit; without it they find out within 50 ms. */
@Injectable()
export class PublisherHint {
  constructor(private readonly publishers: Publishers) {}

  /**
   * To be called after the commit of transactions that wrote markers of these environments. Never waits, never fails.
   *
   * @param marked what they marked, in any of them: the publisher need not ask first what to read
   */
  hint(environments: readonly string[], marked: readonly Entry[]): void {
    this.publishers.hint(environments, marked);
  }
}
