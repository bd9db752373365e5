import { Injectable } from '@nestjs/common';
import { fail, type HelioError } from '#model';
import { Publishers } from '../publishers.js';
import type { Fence } from './fence.js';

/** Whether this master may take writes: not while another one has taken its place. */
@Injectable()
export class Office {
  constructor(private readonly publishers: Publishers) {}

  /** Environments that nobody on this database may publish. */
  get fences(): { environment: string; fence: Fence }[] {
    return this.publishers.fences;
  }

  /**
   * To be called before a write does anything. One environment is enough: what a replaced database is told does not
   * exist anywhere else, whatever it is about.
   *
   * @throws HelioError `fenced_off`
   */
  requireOpen(): void {
    const fault = this.fault('nothing was written');
    if (fault) throw fault;
  }

  /** For a write that was committed before the fence was noticed, and is not published. @throws HelioError `fenced_off` */
  requirePublishable(): void {
    const fault = this.fault(
      'this write was committed to the database of this master and waits there: it is published if an operator decides for it',
    );
    if (fault) throw fault;
  }

  private fault(outcome: string): HelioError | null {
    const [first] = this.fences;
    if (!first) return null;
    const { environment, fence } = first;
    return fail(
      'fenced_off',
      `another master publishes "${environment}": epoch ${fence.epoch}, revision ${fence.revision}, signed by the key ${fence.keyId}; ${outcome}`,
    );
  }
}
