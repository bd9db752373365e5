import type { CheckRules, CompiledTarget, CompiledUpstream } from '../decide/compile/compile-upstream.js';
import { Probe } from './probe.js';
import type { PoolParts } from './pool-parts.js';
import { type Dialling, diallingOf } from './upstream-socket.js';

/** Probes of one worker at a time; others wait for the next sweep. */
const PROBES = 64;
/** The first probe comes within this time: many targets of a new release are not asked at the same moment. */
const FIRST_MS = 1000;
/** A line of the log names so many APIs: hundreds may share a target. */
const APIS = 10;

/** One target, asked again and again. */
interface Check {
  origin: string;
  rules: CheckRules;
  dialling: Dialling;
  /** monotonic milliseconds */
  nextAt: number;
  probe: Probe | null;
  /** the first answer decides alone */
  known: boolean;
  /** answers in a row that say the opposite of what holds */
  contrary: number;
}

/**
 * Finds out by requests of its own which targets are well. One worker of a replica does that and tells the others: they
 * would all find the same.
 */
export class TargetChecks {
  /** which targets are down is not what it was; told on duty only */
  onChange: () => void = () => undefined;
  private down = new Set<string>();
  private readonly checks = new Map<string, Check>();
  private followed: readonly CompiledUpstream[] = [];
  private onDuty = false;
  private probes = 0;

  /** @param random from 0 to 1 */
  constructor(
    private readonly parts: PoolParts,
    private readonly random: () => number,
  ) {}

  isDown(check: string): boolean {
    return this.down.has(check);
  }

  /** Those that are followed. */
  get upstreams(): readonly CompiledUpstream[] {
    return this.followed;
  }

  /** Names of checks that failed, of targets in use. */
  get downList(): string[] {
    return [...this.down];
  }

  /** What the worker on duty found. */
  learn(down: readonly string[]): void {
    if (!this.onDuty) this.down = new Set(down);
  }

  /** Checks from now on; begins with what was learned. */
  begin(): void {
    this.onDuty = true;
    this.update();
  }

  /** @param upstreams those with checks, of all APIs that serve here; others are checked no more */
  follow(upstreams: readonly CompiledUpstream[]): void {
    if (upstreams === this.followed) return;
    this.followed = upstreams;
    if (this.onDuty) this.update();
  }

  sweep(now: number): void {
    if (!this.onDuty) return;
    for (const [name, check] of this.checks) {
      const { probe, rules } = check;
      if (probe && probe.deadline < now) probe.stop(`it did not answer within ${rules.timeoutMs} ms`);
      else if (!probe && check.nextAt <= now && this.probes < PROBES) this.ask(name, check, now);
    }
  }

  close(): void {
    this.onDuty = false;
    for (const name of this.checks.keys()) this.drop(name);
  }

  private update(): void {
    const wanted = new Map<string, [CompiledTarget, CheckRules]>();
    for (const { targets, check } of this.followed)
      for (const target of targets) if (check && target.check !== null) wanted.set(target.check, [target, check]);
    for (const name of this.checks.keys()) if (!wanted.has(name)) this.drop(name);
    const before = this.down.size;
    for (const name of this.down) if (!wanted.has(name)) this.down.delete(name);
    for (const [name, [target, rules]] of wanted) if (!this.checks.has(name)) this.add(name, target, rules);
    if (this.down.size !== before) this.onChange();
  }

  private add(name: string, target: CompiledTarget, rules: CheckRules): void {
    this.checks.set(name, {
      origin: target.origin,
      rules,
      dialling: diallingOf(target.pool, this.parts),
      nextAt: this.parts.now() + this.random() * Math.min(FIRST_MS, rules.intervalMs),
      probe: null,
      known: this.down.has(name),
      contrary: 0,
    });
  }

  private drop(name: string): void {
    const check = this.checks.get(name);
    this.checks.delete(name);
    if (!check?.probe) return;
    this.probes -= 1;
    check.probe.stop(null);
  }

  private ask(name: string, check: Check, now: number): void {
    const { dialling, rules } = check;
    check.nextAt = now + rules.intervalMs * (0.9 + 0.2 * this.random());
    this.probes += 1;
    const done = (reason: string | null): void => {
      this.probes -= 1;
      check.probe = null;
      this.note(name, check, reason);
    };
    check.probe = new Probe(dialling, rules, now + rules.timeoutMs, done, this.parts.onFault);
  }

  private note(name: string, check: Check, reason: string | null): void {
    const { rules, origin } = check;
    const wasDown = this.down.has(name);
    const enough = wasDown ? rules.healthy : check.known ? rules.unhealthy : 1;
    check.known = true;
    check.contrary = wasDown === (reason === null) ? check.contrary + 1 : 0;
    if (check.contrary < enough) return;
    check.contrary = 0;
    if (reason === null) this.down.delete(name);
    else this.down.add(name);
    const what = { apis: this.apisOf(name), target: origin, path: rules.path };
    if (reason === null) this.parts.log.info(what, 'a target passes its health check again');
    else this.parts.log.warn({ ...what, reason }, 'a target fails its health check, and gets no requests');
    this.onChange();
  }

  /** Some of those whose targets share a verdict. */
  private apisOf(name: string): string[] {
    const sharing = this.followed.filter(({ targets }) => targets.some(({ check }) => check === name));
    return sharing.slice(0, APIS).map(({ api }) => api);
  }
}
