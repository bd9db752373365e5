import { Bus } from './bus.js';
import type { Entry } from './entries.js';
import type { Fence } from './office/fence.js';
import type { PublishingOptions } from './options.js';
import { Publisher, type PublisherStanding } from './publisher.js';
import type { Publications } from './publications.js';

/** How often it is looked which environments there are. */
const LIST_MS = 1_000;

/** One publisher for every environment that exists, and the connection to other masters. */
export class Publishers {
  /** told what other masters say by `say`; it must not throw */
  onSaid: (payload: string) => void = () => undefined;
  private readonly publishers = new Map<string, Publisher>();
  private readonly ending = new Set<Promise<void>>();
  private readonly bus: Bus;
  private timer: NodeJS.Timeout | undefined;
  private listing: Promise<void> | undefined;
  private listAgain = false;
  private stopped = false;

  constructor(
    private readonly options: PublishingOptions,
    private readonly publications: Publications,
  ) {
    const listener = {
      hint: (environment: string) => this.wake(environment),
      published: (environment: string, revision: number) =>
        this.publications.announce({ environment, revision, xids: null, sealed: null }),
      said: (payload: string) => this.onSaid(payload),
      connected: () => void this.announceAll(),
    };
    this.bus = new Bus(options.databaseUrl, listener, options.log);
    options.replicas?.onClaim((environment) => this.publishers.get(environment)?.claimed());
  }

  start(): void {
    this.bus.start();
    this.timer = setInterval(() => this.list(), LIST_MS);
    this.list();
  }

  /** After the commit of transactions that wrote markers: wakes who publishes these environments, wherever that is. */
  hint(environments: readonly string[], marked: readonly Entry[] = []): void {
    for (const environment of environments) {
      this.wake(environment, marked);
      if (!this.standing(environment)?.leader) this.bus.sayHint(environment);
    }
  }

  /** To all other masters on this database. @returns false: it will not be sent */
  say(payload: string): boolean {
    return this.bus.say(payload);
  }

  standing(environment: string): PublisherStanding | undefined {
    return this.publishers.get(environment)?.standing;
  }

  /** Environments whose chain is signed with another key than this process has. */
  get refused(): string[] {
    return [...this.publishers.values()].flatMap(({ environment, standing }) =>
      standing.keyRefused ? [environment] : [],
    );
  }

  /** Environments that nobody on this database may publish, as far as this process knows. */
  get fences(): { environment: string; fence: Fence }[] {
    return [...this.publishers.values()].flatMap(({ environment, standing: { fence } }) =>
      fence ? [{ environment, fence }] : [],
    );
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.listing;
    await Promise.all([...this.ending, ...[...this.publishers.values()].map((publisher) => publisher.stop())]);
    await this.bus.stop();
  }

  private wake(environment: string, marked: readonly Entry[] = []): void {
    const publisher = this.publishers.get(environment);
    if (publisher) publisher.wake(marked);
    else this.list(); // perhaps it is new
  }

  /** One at a time, or a publisher would start twice; and once more for whoever asks meanwhile. */
  private list(): void {
    this.listAgain = this.listing !== undefined;
    this.listing ??= this.readEnvironments()
      .catch((error: unknown) =>
        this.options.log.debug(
          { cause: (error as Error).message },
          'the environments cannot be read; it is tried again',
        ),
      )
      .finally(() => {
        this.listing = undefined;
        if (this.listAgain && !this.stopped) this.list();
      });
  }

  private async readEnvironments(): Promise<void> {
    const rows = await this.options.query<{ id: string }>('SELECT id FROM environment');
    if (this.stopped) return;
    const existing = new Set(rows.map(({ id }) => id));
    for (const [environment, publisher] of this.publishers) {
      if (existing.has(environment)) continue;
      this.publishers.delete(environment);
      const end: Promise<void> = publisher.stop().finally(() => this.ending.delete(end));
      this.ending.add(end);
    }
    for (const environment of existing) {
      if (this.publishers.has(environment)) continue;
      const publisher = new Publisher(environment, this.options, (published) => {
        this.publications.announce(published);
        this.bus.sayPublished(environment, published.revision);
      });
      this.publishers.set(environment, publisher);
      publisher.start();
    }
  }

  /** Other masters' messages were missed: whoever waits for a revision has to look. */
  private async announceAll(): Promise<void> {
    try {
      const chains = await this.options.query<{ environment_id: string; revision: string }>(
        'SELECT environment_id, revision FROM chain',
      );
      for (const { environment_id: environment, revision } of chains)
        this.publications.announce({ environment, revision: Number(revision), xids: null, sealed: null });
    } catch (error) {
      this.options.log.debug(
        { cause: (error as Error).message },
        'where the chains stand cannot be read; whoever waits looks by himself',
      );
    }
  }
}
