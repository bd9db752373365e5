/** What looks like a key of ours. */
const KEY = /hg_[a-z]+_[A-Za-z0-9]+(?:_[A-Za-z0-9]+)?/g;

/** A text for logs and traces: somebody may have put a key where it does not belong. */
export function withoutKeys(text: string): string {
  return text.includes('hg_') ? text.replace(KEY, 'hg_***') : text;
}
