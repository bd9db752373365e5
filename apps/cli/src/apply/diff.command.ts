import type { Define } from '../command.js';
import { type Format, outputOption } from '../output/output.js';
import { askApply, readFiles, refusalOf } from './ask-apply.js';
import { documentOptions, type DocumentOptions, setOf } from './options.js';
import { printPlan, showPlan } from './show-plan.js';

export const define: Define = (command, cli) => {
  outputOption(documentOptions(command))
    .description(
      'Shows what apply would do, and changes nothing. Ends with 1 where there is anything to do: what there is has drifted from the documents.',
    )
    .action(async (options: DocumentOptions & { output: Format }) => {
      const { prune = false, take = false, output } = options;
      const name = setOf(options);
      const set = await readFiles(cli, options);
      const { plan } = await askApply(cli, set, { set: name, prune, take, dryRun: true });
      if (output === 'table' || output === 'wide') await showPlan(cli, plan);
      else await printPlan(cli, plan, output);
      // whoever asks with a reader's token is not about to apply with it: its role is not spoken of
      const refusal = refusalOf(plan, set, 'documents_invalid');
      if (refusal) cli.complain(refusal);
      if (plan.changes.some(({ action }) => action !== 'unchanged')) cli.exit = 'failed';
    });
};
