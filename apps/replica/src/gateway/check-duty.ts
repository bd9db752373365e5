import type { ToWorker } from './ipc.js';

/** Has one of the workers check the targets of upstreams, and tells the others what it finds. Part of process 1. */
export class CheckDuty {
  private readonly workers = new Map<string, (message: ToWorker) => void>();
  private onDuty: string | null = null;
  private failing: string[] = [];

  /** Names of checks that fail: what a worker has to know before it joins. */
  get down(): readonly string[] {
    return this.failing;
  }

  /** @param name of a worker that was told what is down */
  join(name: string, tell: (message: ToWorker) => void): void {
    this.workers.set(name, tell);
    if (this.onDuty === null) this.appoint();
  }

  leave(name: string): void {
    this.workers.delete(name);
    if (this.onDuty === name) this.appoint();
  }

  /** @param checks names of those that fail; what one says that is not on duty any more is old */
  told(name: string, checks: string[]): void {
    if (name !== this.onDuty) return;
    this.failing = checks;
    for (const [other, tell] of this.workers) if (other !== name) tell({ type: 'down', checks });
  }

  private appoint(): void {
    const [next] = this.workers;
    this.onDuty = next?.[0] ?? null;
    next?.[1]({ type: 'check' });
  }
}
