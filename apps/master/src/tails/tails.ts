import { Injectable } from '@nestjs/common';
import type { TailLines, TailWish } from '#model';
import type { ConnectedReplica } from '../fleet/connected-replica.js';
import { MasterTalk } from '../publishing/index.js';
import { countOf, piecesOf, type TailOf, type TailTalk, tailTalk } from './tail-talk.js';

/** Told of lines of a replica; none, when it says that it was asked. */
type TailListener = (replica: string, lines: Omit<TailLines, 'tail'>) => void;

interface Reader {
  of: TailOf;
  hear: TailListener;
  /** by replica: how many lines it has told by way of another master */
  told: Map<string, number>;
}

/** Somebody at another master looks at replicas that are connected to this one. */
interface Elsewhere {
  of: TailOf;
  told: Map<string, number>;
  timer: NodeJS.Timeout;
}

/**
 * Brings wishes to look at requests to the replicas, and their lines to the readers, whichever masters these are at. Nothing is
 * kept anywhere: a wish is said again and again, and ends when it is not.
 */
@Injectable()
export class Tails {
  private readonly readers = new Map<string, Reader>();
  private readonly elsewhere = new Map<string, Elsewhere>();
  private askHere: (of: TailOf, wish: TailWish) => void = () => undefined;

  constructor(private readonly talk: MasterTalk) {
    talk.onSaid((payload) => this.said(payload));
  }

  /** @param ask asks the replicas that are connected to this master */
  onAsk(ask: (of: TailOf, wish: TailWish) => void): void {
    this.askHere = ask;
  }

  open(tail: string, of: TailOf, hear: TailListener): void {
    this.readers.set(tail, { of, hear, told: new Map() });
  }

  /** Says to all replicas, wherever they are connected, what is wished for. */
  ask(wish: TailWish): void {
    const of = this.readers.get(wish.tail)?.of;
    if (!of) return;
    this.askHere(of, wish);
    this.talk.say(JSON.stringify({ ...of, wish }));
  }

  close(wish: TailWish): void {
    this.ask({ ...wish, forMs: 0 });
    this.readers.delete(wish.tail);
  }

  /** What a replica that is connected here tells. */
  heard(replica: ConnectedReplica, lines: TailLines): void {
    const reader = this.readers.get(lines.tail);
    if (reader) {
      if (covers(reader.of, replica)) reader.hear(replica.id, lines);
      return;
    }
    const elsewhere = this.elsewhere.get(lines.tail);
    if (!elsewhere || !covers(elsewhere.of, replica)) return;
    for (const { tail, lines: some, dropped } of piecesOf(lines)) {
      const told = (elsewhere.told.get(replica.id) ?? 0) + countOf({ lines: some, dropped });
      elsewhere.told.set(replica.id, told);
      this.talk.say(JSON.stringify({ replica: replica.id, told, lines: { tail, lines: some, dropped } }));
    }
  }

  /** Of another master. */
  private said(payload: string): void {
    const talk = readTalk(payload);
    if (talk === null) return;
    if ('wish' in talk) return this.wished(talk, talk.wish);
    const { replica, told, lines } = talk;
    const reader = this.readers.get(lines.tail);
    if (!reader) return;
    // one that has come to that master anew begins at nothing
    const lost = told - (reader.told.get(replica) ?? told - countOf(lines)) - countOf(lines);
    reader.told.set(replica, told);
    reader.hear(replica, { ...lines, dropped: lines.dropped + Math.max(0, lost) });
  }

  private wished({ region, replica }: TailOf, wish: TailWish): void {
    const { tail, forMs } = wish;
    const before = this.elsewhere.get(tail);
    if (before) clearTimeout(before.timer);
    this.elsewhere.delete(tail);
    const of = { region, replica };
    if (forMs > 0) {
      const timer = setTimeout(() => this.elsewhere.delete(tail), forMs).unref();
      this.elsewhere.set(tail, { of, told: before?.told ?? new Map<string, number>(), timer });
    }
    this.askHere(of, wish);
  }
}

function covers({ region, replica }: TailOf, { id, region: its }: ConnectedReplica): boolean {
  return region === its && (replica ?? id) === id;
}

/** @returns null for what is none: a newer master may say more */
function readTalk(payload: string): TailTalk | null {
  try {
    return tailTalk.parse(JSON.parse(payload));
  } catch {
    return null;
  }
}
