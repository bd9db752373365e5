import { Injectable } from '@nestjs/common';
import { Publishers } from './publishers.js';

/** Wakes publishers after a commit; without it they find out within 50 ms. */
@Injectable()
export class PublisherHint {
  constructor(private readonly publishers: Publishers) {}

  /** To be called after the commit of transactions that wrote markers of these environments. Never waits, never fails. */
  hint(environments: readonly string[]): void {
    this.publishers.hint(environments);
  }
}
