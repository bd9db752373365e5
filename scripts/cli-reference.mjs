// docs/cli.md, from the tree of commands.
import { Cli } from '../dist/apps/cli/src/cli.js';
import { GROUPS } from '../dist/apps/cli/src/command.js';
import { COMMANDS } from '../dist/apps/cli/src/commands.js';
import { environment } from '../dist/apps/cli/src/config/environment.js';
import { EXIT } from '../dist/apps/cli/src/exit.js';
import { makeProgram } from '../dist/apps/cli/src/program.js';

/** Told once, above all commands. */
const COMMON = {
  '--output':
    'how to show it: `table` (the default; one item alone is shown as YAML), `wide`, `json`, `yaml`, or `name`: one name a line, for other commands',
  '--watch': 'go on looking until Ctrl-C: redrawn on a terminal, and elsewhere written again when it has changed',
  '--limit': 'how many items at the most (100); where there are more, that is said on standard error',
  '--all': 'all items, however many',
  '--file':
    'a YAML or JSON file with the fields of the request, `-` is standard input; options come before what it says',
  '--wait': 'answer when replicas have applied the write, or after so many seconds, 1 to 60',
  '--applied': 'with `--wait`, which replicas: `all` (the default), `region:<id>`, `quorum`',
  '--yes': 'do not ask; needed where nobody can be asked',
};

export async function cliDocument() {
  const cli = new Cli(environment({}), process);
  const program = await makeProgram(
    cli,
    COMMANDS.map(({ name }) => name),
  );
  const commands = new Map(program.commands.map((one) => [one.name(), one]));
  const lines = [
    '# The command line',
    '',
    'Made by `npm run docs` from the commands themselves; `helio --help` says the same. `npx helio`, or `helio` where the package is installed.',
    '',
    '## What holds everywhere',
    '',
    'Which master is asked, and as whom: `--context NAME`; else `--server URL` or `HELIO_SERVER`; else the context in use. `HELIO_TOKEN` is an access token for the latter three; a token that is kept goes to its own server only.',
    'Contexts are kept in `$XDG_CONFIG_HOME/heliograph/config.yaml` (`~/.config`), which only its owner may read: else it is not used.',
    '',
    'Results go to standard output, all else to standard error. Colours are for terminals; `NO_COLOR` turns them off. A write is sent again only where that is safe: a POST by its `Idempotency-Key`, others where the connection was never made.',
    '`update` and `edit` send the ETag of what they have read, so that what somebody else changed meanwhile is not overwritten (exit code 6). `null` as a value takes it away.',
    '',
    '| option | |',
    '|---|---|',
    ...Object.entries(COMMON).map(
      ([flag, about]) =>
        `| \`${flag === '--output' ? '-o, --output' : flag === '--file' ? '-f, --file' : flag}\` | ${about} |`,
    ),
    '',
    '| exit code | |',
    '|---|---|',
    ...Object.values(EXIT).map(({ code, means }) => `| ${code} | ${means} |`),
    '',
  ];
  for (const [group, heading] of Object.entries(GROUPS)) {
    lines.push(`## ${heading.replace(/:$/, '')}`, '');
    for (const { name } of COMMANDS.filter((one) => one.group === group))
      lines.push(...described(commands.get(name), 'helio'));
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function described(command, parent) {
  const path = `${parent} ${command.name()}`;
  const aliases = command.aliases().map((alias) => `\`${parent} ${alias}\``);
  const depth = parent === 'helio' ? '###' : '####';
  const args = command.registeredArguments.map((one) => {
    const name = one.name() + (one.variadic ? '...' : '');
    return one.required ? `<${name}>` : `[${name}]`;
  });
  const lines = [`${depth} ${[path, ...args].join(' ')}`, '', command.description(), ''];
  if (aliases.length > 0) lines.push(`Also ${aliases.join(', ')}.`, '');
  const options = command.options.filter((one) => !one.hidden);
  const common = options.filter((one) => isCommon(one)).map((one) => `\`${one.short ?? one.long}\``);
  const own = [
    ...command.registeredArguments
      .filter((one) => one.description)
      .map((one) => row(one.name(), one.description, one.argChoices)),
    ...options
      .filter((one) => !isCommon(one))
      .map((one) => row(one.flags, one.description, one.argChoices, one.defaultValue)),
  ];
  if (own.length > 0) lines.push('| | |', '|---|---|', ...own, '');
  if (common.length > 0) lines.push(`With ${common.join(', ')}.`, '');
  return [...lines, ...command.commands.flatMap((one) => described(one, path))];
}

function isCommon({ long, flags }) {
  return Object.hasOwn(COMMON, long) && (long !== '--output' || flags.endsWith('<format>'));
}

function row(name, description, choices, byDefault) {
  const told = choices && !choices.some((one) => name.includes(one)) ? `one of ${choices.join(', ')}` : '';
  const about = [description, told, byDefault === undefined ? '' : `(default: ${byDefault})`]
    .filter(Boolean)
    .join('; ')
    .replace('; (', ' (');
  return `| \`${name.replaceAll('|', '\\|')}\` | ${about.replaceAll('|', '\\|').replaceAll('\n', ' ')} |`;
}
