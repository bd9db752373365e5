import type { CheckRules } from '../decide/compile/compile-upstream.js';
import type { ResponseParser } from '../engine/wire/response-parser.js';
import { reasonOf } from './failure-reason.js';
import { type ConnectionOwner, UpstreamConnection, type UpstreamUser } from './upstream-connection.js';
import type { Dialling } from './upstream-socket.js';

/** One request that finds out whether a target is well, on a connection of its own: what it costs is told by no pool. */
export class Probe implements UpstreamUser, ConnectionOwner {
  private readonly connection: UpstreamConnection;
  private over = false;

  /**
   * @param deadline monotonic milliseconds
   * @param done told once, never from within the constructor. `reason`: what was wrong; null: it is well
   */
  constructor(
    readonly dialling: Dialling,
    private readonly rules: CheckRules,
    readonly deadline: number,
    private readonly done: (reason: string | null) => void,
    readonly onFault: (error: unknown) => void,
  ) {
    this.connection = new UpstreamConnection(this);
  }

  /** @param reason null: nobody wants to know any more */
  stop(reason: string | null): void {
    if (reason === null) this.over = true;
    else this.finish(reason);
    this.connection.abort();
  }

  give(connection: UpstreamConnection): void {
    connection.user = this;
    this.onConnection(connection);
  }

  onConnection(connection: UpstreamConnection): void {
    const fields = `host: ${this.dialling.origin.authority}\r\nuser-agent: heliograph-health-check\r\nconnection: close\r\n`;
    connection.send(`GET ${this.rules.path} HTTP/1.1\r\n${fields}\r\n`, false, false, true);
  }

  onHead({ status }: ResponseParser): void {
    const { statuses } = this.rules;
    const well = statuses ? statuses.includes(status) : status < 400;
    this.finish(well ? null : `it answered ${status}`);
    this.connection.abort();
  }

  fail(_connection: UpstreamConnection, failure: Error | null): void {
    if (failure) this.finish(reasonOf(failure));
  }

  onFailure(error: Error): void {
    this.finish(reasonOf(error));
  }

  onUnreachable(error: Error): void {
    this.finish(reasonOf(error));
  }

  keeps(): boolean {
    return false;
  }

  // nothing comes after the head that is waited for, and nothing is kept
  onUnsent(): void {}
  onData(): void {}
  onPause(): void {}
  onEnd(): void {}
  onDrain(): void {}
  letGo(): void {}
  forget(): void {}

  private finish(reason: string | null): void {
    if (this.over) return;
    this.over = true;
    this.done(reason);
  }
}
