/** What looks like a key of ours, or the secret of a client. */
const KEY = /hg_[a-z]+_[A-Za-z0-9]+(?:_[A-Za-z0-9]+)?/g;
/** What looks like a token, or the beginning of one that was cut: its header begins with `{"`. */
const TOKEN = /eyJ[\w-]+\.[\w-]*(?:\.[\w-]*)?/g;

/** A text for logs and traces: somebody may have put a key where it does not belong. */
export function withoutKeys(text: string): string {
  const masked = text.includes('hg_') ? text.replace(KEY, 'hg_***') : text;
  return masked.includes('eyJ') ? masked.replace(TOKEN, 'eyJ***') : masked;
}
