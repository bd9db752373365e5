import { Injectable } from '@nestjs/common';
import { Publishers } from './publishers.js';

/** What masters on one database say to each other beside revisions. It may be lost: nothing may rest on it. */
@Injectable()
export class MasterTalk {
  constructor(private readonly publishers: Publishers) {}

  /** To all others. Never waits. @param payload below 8,000 bytes @returns false: it will not be sent, there is too much */
  say(payload: string): boolean {
    return this.publishers.say(payload);
  }

  /** @param listener of what others say, one for this process; it must not throw */
  onSaid(listener: (payload: string) => void): void {
    this.publishers.onSaid = listener;
  }
}
