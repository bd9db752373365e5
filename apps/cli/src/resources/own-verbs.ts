import type { Command } from 'commander';
import type { Cli } from '../cli.js';
import { addPromote } from './promote.command.js';
import { addReleaseCreate } from './release-create.js';

/** Verbs that are not made from an operation, by resource. */
export const OWN_VERBS: Readonly<Record<string, (parent: Command, cli: Cli) => void>> = {
  release: (parent, cli) => addReleaseCreate(parent.command('create'), cli),
  promotion: (parent, cli) => {
    addPromote(parent.command('create'), cli);
    parent
      .command('watch')
      .description('Follow it to its end; the exit code says how it ended')
      .argument('<promotion>', 'its id')
      .action(async (promotion: string) => {
        const { watchPromotion } = await import('../operate/watch-promotion.js');
        await watchPromotion(cli, promotion);
      });
  },
};
