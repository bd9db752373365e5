/** Wakes one loop: a ring that comes while nobody waits is kept, and any number of them count as one. */
export class Bell {
  private rung = false;
  private waiter: (() => void) | undefined;

  ring(): void {
    this.rung = true;
    this.waiter?.();
  }

  /** @returns whether it was rung within `ms` */
  async wait(ms: number): Promise<boolean> {
    if (!this.rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.waiter = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.waiter = undefined;
    }
    const rung = this.rung;
    this.rung = false;
    return rung;
  }
}
