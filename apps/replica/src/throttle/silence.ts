/** A question that was not answered for so long is silence, too, although others were: a part of a cluster that stands still. */
const OPEN_MS = 1000;
/** A timer that comes so late tells of this process, or its machine: whoever was asked may have stood still with it. */
const STALL_MS = 50;

/** Finds out when nobody answers any more. Slow is not silent: each answer, and each error, begins the time anew. */
export class Silence {
  private readonly open = new Set<{ began: number }>();
  private heardAt = 0;
  private timer: NodeJS.Timeout | null = null;

  /**
   * @param ms without any answer while questions were open
   * @param onSilence told once; questions that are open by then are not waited for any more
   */
  constructor(
    private readonly ms: number,
    private readonly onSilence: () => void,
  ) {}

  async listen<T>(question: Promise<T>): Promise<T> {
    const one = { began: performance.now() };
    this.open.add(one);
    if (this.timer === null) this.lookIn(this.ms);
    try {
      return await question;
    } finally {
      this.open.delete(one);
      this.heardAt = performance.now();
    }
  }

  stop(): void {
    if (this.timer) clearTimeout(this.timer);
    this.open.clear();
  }

  private lookIn(ms: number): void {
    const due = performance.now() + ms;
    // timers come before the reading: what has arrived is read first
    this.timer = setTimeout(() => setImmediate(() => this.look(due)), ms).unref();
  }

  private look(due: number): void {
    this.timer = null;
    const [oldest] = this.open;
    if (!oldest) return;
    const now = performance.now();
    if (now - due > STALL_MS) this.heardAt = now;
    const silentAt = Math.min(
      Math.max(oldest.began, this.heardAt) + this.ms,
      oldest.began + Math.max(this.ms, OPEN_MS),
    );
    if (now < silentAt) return this.lookIn(silentAt - now);
    this.open.clear();
    this.onSilence();
  }
}
