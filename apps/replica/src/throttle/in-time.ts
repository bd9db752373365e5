/**
 * The answer; null when it does not come in time. An answer that has arrived, and that this process had no time to read, is
 * in time: timers come before the reading, so a further turn is waited for.
 */
export function inTime<T>(question: Promise<T>, ms: number): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => setImmediate(() => resolve(null)), ms);
    question.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
