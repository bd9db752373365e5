/** One of a stream of server-sent events. */
export interface SentEvent {
  id: string | null;
  type: string;
  data: string;
}

/** A master's events are a few hundred bytes. */
const MOST_CHARACTERS = 1024 * 1024;

/**
 * Events of a body as they come; comments are left out, as is what the stream ends in the middle of.
 *
 * @throws Error for one that is larger than a master sends
 */
export async function* sentEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<SentEvent> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of body) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = eventOf(text.slice(0, end));
      if (event) yield event;
      text = text.slice(end + 2);
    }
    if (text.length > MOST_CHARACTERS) throw new Error('the master sends an event that has no end');
  }
}

function eventOf(block: string): SentEvent | null {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const [, name, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const before = fields.get(name);
    fields.set(name, name === 'data' && before !== undefined ? `${before}\n${value}` : value);
  }
  const data = fields.get('data');
  return data === undefined ? null : { id: fields.get('id') ?? null, type: fields.get('event') ?? 'message', data };
}
