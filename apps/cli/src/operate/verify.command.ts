import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { type Format, outputOption } from '../output/output.js';
import { visible } from '../output/style.js';
import { asCliError, environmentsOf, requireFolders, storeFor, trustedKeysFor } from './store-option.js';
import type { ChainReport } from './verify/report.js';
import { textOfReport } from './verify/report-text.js';
import { verifyEnvironment } from './verify/verify-environment.js';

interface Options {
  output: Format;
  environment: string[];
  trustedKeys?: string;
}

const REDRAW_MS = 200;

export const define: Define = (command, cli) => {
  outputOption(command)
    .description(
      'Prove a store, or a copy of one, offline: chain, signatures, state roots, segments, snapshots, every blob, and the artifacts of releases; ends with 1 unless everything is proven, by trusted keys',
    )
    .argument(
      '<store>',
      'file:///directory, s3://bucket/prefix (with S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY), or a path',
    )
    .option(
      '--environment <id>',
      'only that one; several times for several. Default: all that a directory has',
      (id: string, all: string[]) => [...all, id],
      [],
    )
    .option(
      '--trusted-keys <keys>',
      'public keys in base64 with commas between them, or file:///path; also what `helio signing-key list -o json` answers. Default: HELIO_TRUSTED_KEYS. Without any, signatures are not checked, and it ends with 1',
    )
    .action(async (named: string, options: Options) => {
      const trustedKeys = trustedKeysFor(options.trustedKeys, cli.env);
      const environments = environmentsOf(named, options.environment);
      requireFolders(named, environments);
      const store = storeFor(named, cli.env);
      const reports: ChainReport[] = [];
      try {
        await cli.follow(async (signal) => {
          for (const environment of environments) {
            const line = new ProgressLine(cli, environment);
            const onProgress = line.show.bind(line);
            try {
              reports.push(await verifyEnvironment({ store, environment, trustedKeys, signal, onProgress }));
            } finally {
              line.end();
            }
          }
        });
      } catch (error) {
        throw asCliError(error);
      } finally {
        await store.close();
      }
      if (reports.length < environments.length)
        throw new CliError('it was ended before everything was read: nothing is proven', { exit: 'interrupted' });
      await tell(cli, options.output, reports);
      // what nobody has signed may be anybody's: a script must not take it for proven
      if (reports.some(({ faultCount, signatures }) => faultCount > 0 || signatures !== 'checked')) cli.exit = 'failed';
    });
};

async function tell(cli: Cli, format: Format, reports: readonly ChainReport[]): Promise<void> {
  if (format === 'table' || format === 'wide') {
    for (const report of reports) cli.write(textOfReport(report, cli.style));
    return;
  }
  const name = ({ environment }: ChainReport): string => environment;
  await cli.print(format, { items: reports, columns: [], name });
}

/** Where it is, on the last line of a terminal. Nothing in a pipe. */
class ProgressLine {
  private drawnAt = 0;

  constructor(
    private readonly cli: Cli,
    private readonly environment: string,
  ) {}

  show({ revision, last, bytes }: { revision: number; last: number; bytes: number }): void {
    const { stderr } = this.cli.streams;
    const now = performance.now();
    if (!stderr.isTTY || now - this.drawnAt < REDRAW_MS) return;
    this.drawnAt = now;
    const text = `${this.environment}: revision ${revision} of ${last}, ${(bytes / 1_048_576).toFixed(1)} MiB read`;
    this.cli.writeError(`\r${visible(text).slice(0, stderr.columns - 1)}\x1b[K`);
  }

  end(): void {
    if (this.drawnAt > 0) this.cli.writeError('\r\x1b[K');
  }
}
