import type { HeadBook, HeadMemory } from '../head-book.js';
import type { SyncEvent } from '../sync.js';
import type { StreamClient, StreamNews } from './stream-client.js';

type Message = Extract<StreamNews, { kind: 'message' }>['message'];
type Intent = Extract<Message, { type: 'intent' }>;

/** Makes events of what the stream brings. Of its messages it is the heads that are believed, once they were verified. */
export class StreamIntake {
  /** of this connection: another instance may be a moment behind */
  #memory: HeadMemory = { newest: null, freshUntil: 0 };

  constructor(
    private readonly client: StreamClient,
    private readonly heads: HeadBook,
    private readonly onEvent: (event: SyncEvent) => void,
  ) {
    client.onNews = (news) => this.#hear(news);
  }

  take(): Buffer[] {
    return this.client.take();
  }

  get waiting(): number {
    return this.client.waiting;
  }

  follow(): number {
    return this.client.follow();
  }

  drop(code: string, detail: string, holdMs: number): void {
    this.client.drop(code, detail, holdMs);
  }

  /** A head of another source names a newer epoch: what this connection brings is of a term that is over, until it says otherwise. */
  refuseOlder(): SyncEvent | null {
    const [mine, newest] = [this.#memory.newest?.epoch, this.heads.newest?.epoch ?? 0];
    if (mine === undefined || mine >= newest) return null;
    const detail = `the master of this stream is of epoch ${mine}; epoch ${newest} was seen before`;
    return { kind: 'stream-refused', code: 'older_epoch', detail };
  }

  #hear(news: StreamNews): void {
    switch (news.kind) {
      case 'up':
        this.#memory = { newest: null, freshUntil: 0 };
        return this.onEvent({ kind: 'stream-up', revision: news.revision });
      case 'message':
        return this.onEvent(this.#judge(news.message));
      case 'pushed':
        return this.onEvent({ kind: 'stream-pushed', waiting: news.waiting });
      case 'down':
        this.#memory = { newest: null, freshUntil: 0 };
        return this.onEvent({ kind: 'stream-down', code: news.code, detail: news.detail });
    }
  }

  #judge(message: Message): SyncEvent {
    const verdict = this.heads.judge(Buffer.from(message.head), this.#memory);
    if (!('head' in verdict)) {
      // A key that the next revisions may make a trusted one: these are judged by themselves.
      const mayBecome = verdict.code === 'untrusted_key' && message.type === 'intent' && message.intent === 'changes';
      if (mayBecome) return { kind: 'stream-intent', intent: 'changes', head: 0, fault: null };
      return { kind: 'stream-refused', ...verdict };
    }
    const { revision } = verdict.head;
    if (message.type === 'head')
      return { kind: 'head-seen', source: 'stream', head: revision, fresh: Date.now() < this.#memory.freshUntil };
    return intentEvent(message, revision);
  }
}

function intentEvent(message: Intent, head: number): SyncEvent {
  if (message.intent !== 'full') return { kind: 'stream-intent', intent: message.intent, head, fault: null };
  const { detail, reason } = message;
  if (reason === 'fork') return { kind: 'stream-refused', code: 'fork', detail };
  const fault = reason === 'ahead' ? { code: 'master_behind', detail } : null;
  return { kind: 'stream-intent', intent: 'full', head, fault };
}
