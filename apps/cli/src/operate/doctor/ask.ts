const ANSWER_MS = 5_000;
const MOST_BYTES = 16 * 1024 * 1024;

export interface Asked {
  status: number;
  text: string;
  ms: number;
  /** how much the other machine's clock is ahead; null: it does not tell */
  skewMs: number | null;
}

/** One look at a port, without a second try: how it is now is what is asked. @throws Error that says why there is no answer */
export async function ask(url: string): Promise<Asked> {
  const began = performance.now();
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS), redirect: 'manual' });
    if (Number(response.headers.get('content-length') ?? 0) > MOST_BYTES) throw new Error('the answer is too large');
    const ms = performance.now() - began;
    const text = await response.text();
    return { status: response.status, text, ms, skewMs: skewOf(response.headers.get('date'), ms) };
  } catch (error) {
    throw new Error(reasonOf(error as Error), { cause: error });
  }
}

/** The header has no fractions of seconds: half of one is the best guess, and so is half of the way. */
function skewOf(date: string | null, ms: number): number | null {
  const theirs = Date.parse(date ?? '');
  return Number.isNaN(theirs) ? null : theirs + 500 - (Date.now() - ms / 2);
}

function reasonOf({ name, message, cause }: Error): string {
  if (name === 'TimeoutError') return `nothing came in ${ANSWER_MS / 1000} s`;
  const code = (cause as { code?: unknown } | undefined)?.code;
  return (cause as Error | undefined)?.message || (typeof code === 'string' ? code : message);
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
