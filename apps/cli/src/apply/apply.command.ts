import { Option } from 'commander';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { type Format, outputOption } from '../output/output.js';
import { type ApplyPlan, askApply, readFiles, refusalOf } from './ask-apply.js';
import { documentOptions, type DocumentOptions, setOf } from './options.js';
import { printPlan, showPlan } from './show-plan.js';

interface Options extends DocumentOptions {
  dryRun?: boolean;
  yes?: boolean;
  reason?: string;
  output: Format;
}

export const define: Define = (command, cli) => {
  outputOption(documentOptions(command))
    .description(
      'Makes it so: what the documents of files declare is made, changed or left as it is, in one revision. Shows what would be done, and asks. A directory stands for all YAML and JSON files in it.',
    )
    .option('--dry-run', 'only show what would be done')
    .option('-y, --yes', 'do not ask')
    .addOption(new Option('--reason <text>', 'why releases are placed past promotion, for the audit log'))
    .action((options: Options) => apply(cli, options));
};

async function apply(cli: Cli, options: Options): Promise<void> {
  const { output, prune = false, take = false, reason } = options;
  const name = setOf(options);
  const asTable = output === 'table' || output === 'wide';
  if (options.yes && options.dryRun) throw new CliError('--yes and --dry-run exclude each other', { exit: 'usage' });
  if (!asTable && !options.yes && !options.dryRun)
    throw new CliError(`-o ${output} shows the plan to programs, which cannot be asked`, {
      exit: 'usage',
      next: 'Say --yes, or --dry-run.',
    });
  const set = await readFiles(cli, options);
  const asked = { set: name, prune, take, ...(reason === undefined ? {} : { reason }) };
  const show = (plan: ApplyPlan): Promise<void> => (asTable ? showPlan(cli, plan) : printPlan(cli, plan, output));
  let expect: string | undefined;
  if (!options.yes) {
    const { plan } = await askApply(cli, set, { ...asked, dryRun: true });
    await show(plan);
    const refusal = refusalOf(plan, set);
    if (refusal) {
      if (!options.dryRun) throw refusal;
      cli.complain(refusal);
    }
    const { unchanged: _, ...changes } = plan.summary;
    if (options.dryRun || Object.values(changes).every((count) => count === 0)) return;
    await cli.confirm(plan.summary.delete > 0 ? `Apply, and delete ${plan.summary.delete}?` : 'Apply?');
    expect = plan.plan;
  }
  const { plan, revisions } = await askApply(cli, set, { ...asked, dryRun: false, expect });
  if (options.yes) await show(plan);
  const done = revisions === '' ? 'Applied; no gateway has to know.' : `Applied: ${revisions}`;
  if (asTable) cli.out(done);
  else cli.note(done);
}
