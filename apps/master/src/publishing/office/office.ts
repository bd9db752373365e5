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
    const [first] = this.fences;
    if (first) throw fault(first, 'nothing was written');
  }

  /** For a write that was committed before the fence was noticed, and is not published. @throws HelioError `fenced_off` */
  requirePublishable(environment: string): void {
    const fenced = this.fences.find((one) => one.environment === environment);
    if (fenced)
      throw fault(
        fenced,
        'this write was committed to the database of this master and waits there: it is published if an operator decides for it',
      );
  }
}

function fault({ environment, fence }: Office['fences'][number], outcome: string): HelioError {
  const { epoch, revision, keyId } = fence;
  return fail(
    'fenced_off',
    `another master publishes "${environment}": epoch ${epoch}, revision ${revision}, signed by the key ${keyId}; ${outcome}`,
  );
}
