/**
 * Runs `stop` once, on SIGTERM, SIGINT, or when the process that started this one has gone (its IPC channel closed).
 * A stop that takes longer than `graceMs` is cut off with exit code 1; a second signal ends the process at once.
 */
export function onShutdown(stop: (reason: string) => Promise<void>, graceMs: number): void {
  let stopping = false;
  const begin = (reason: string): void => {
    if (stopping) {
      if (reason !== 'parent gone') process.exit(130);
      return;
    }
    stopping = true;
    setTimeout(() => process.exit(1), graceMs).unref();
    stop(reason).then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`stopping failed: ${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => begin('SIGTERM'));
  process.on('SIGINT', () => begin('SIGINT'));
  // `send` stays when the channel closes: the parent may have gone before anybody listened
  if (process.send !== undefined && !process.connected) begin('parent gone');
  else process.on('disconnect', () => begin('parent gone'));
}
