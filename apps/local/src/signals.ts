/** npm passes a Ctrl-C on that the terminal has already sent to us, on a busy machine after a while: two this close are one. */
const SAME_KEYSTROKE_MS = 1_000;

/** What a request to end does, and what each further one. */
export function onSignals(first: () => void, again: () => void): void {
  let since: number | undefined;
  const onSignal = () => {
    if (since === undefined) {
      since = performance.now();
      first();
    } else if (performance.now() - since > SAME_KEYSTROKE_MS) again();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
}
