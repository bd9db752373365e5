import type { HeadBook, HeadMemory } from '../head-book.js';
import type { SyncEvent } from '../sync.js';
import type { StreamClient, StreamNews } from './stream-client.js';

type Message = Extract<StreamNews, { kind: 'message' }>['message'];
type Intent = Extract<Message, { type: 'intent' }>;

const NOTHING_SAID: Readonly<HeadMemory> = { newest: null, freshUntil: 0, isOnePlace: true };

/** Makes events of what the stream brings. Of its messages it is the heads that are believed, once they were verified. */
export class StreamIntake {
  /** of this connection: another instance may be a moment behind */
  #memory: HeadMemory = { ...NOTHING_SAID };

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
        this.#memory = { ...NOTHING_SAID };
        return this.onEvent({ kind: 'stream-up', revision: news.revision });
      case 'message':
        return this.onEvent(this.#judge(news.message));
      case 'pushed':
        return this.onEvent({ kind: 'stream-pushed', waiting: news.waiting });
      case 'down':
        this.#memory = { ...NOTHING_SAID };
        return this.onEvent({ kind: 'stream-down', code: news.code, detail: news.detail });
    }
  }

  #judge(message: Message): SyncEvent {
    const verdict = this.heads.judge(Buffer.from(message.head), this.#memory);
    if (!('head' in verdict)) {
      // A key that the next revisions may make a trusted one: these are judged by themselves.
      const mayBecome = verdict.code === 'untrusted_key' && message.type === 'intent' && message.intent === 'changes';
      if (mayBecome) return { kind: 'stream-intent', intent: 'changes', head: 0, fault: null };
      // One that says itself that it is behind, as after a restore, claims nothing by its head: another one is asked until it knows more.
      const isBehind = message.type === 'intent' && message.intent === 'full' && message.reason === 'ahead';
      if (verdict.code === 'older_epoch' && isBehind)
        return { kind: 'stream-refused', code: 'master_behind', detail: `${message.detail}; ${verdict.detail}` };
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
