import type { Cli } from '../cli.js';
import type { Format } from '../output/output.js';
import { visible } from '../output/style.js';
import type { ApplyPlan } from './ask-apply.js';

type Change = ApplyPlan['changes'][number];
type FieldChange = Change['fields'][number];

const MOST_FIELDS = 25;
const MOST_TEXT = 120;

/** The plan as a diff. */
export async function showPlan(cli: Cli, { changes, summary }: ApplyPlan): Promise<void> {
  for (const change of changes) if (change.action !== 'unchanged') await cli.drained(changeText(cli, change));
  const { create, update, delete: gone, unchanged } = summary;
  cli.out(`${create} to create, ${update} to change, ${gone} to delete; ${unchanged} as they should be`);
}

/** For programs: what there is to do, with the UUIDs by which other commands know applications and webhooks. */
export function printPlan(cli: Cli, { changes }: ApplyPlan, format: Format): Promise<void> {
  const items = changes.filter(({ action }) => action !== 'unchanged');
  return cli.print(format, { items, columns: [], name: ({ kind, id }) => `${kind}/${id}` });
}

function changeText(cli: Cli, { action, kind, id, fields }: Change): string {
  const { green, yellow, red, bold, dim } = cli.style;
  const sign = { create: green('+'), update: yellow('~'), delete: red('-'), unchanged: ' ' }[action];
  const shown = fields.slice(0, MOST_FIELDS).map((field) => `    ${fieldText(cli, field)}\n`);
  const more = fields.length > MOST_FIELDS ? `    ${dim(`and ${fields.length - MOST_FIELDS} more`)}\n` : '';
  return `${sign} ${kind} ${bold(visible(id))}\n${shown.join('')}${more}`;
}

function fieldText(cli: Cli, { path, before, after, large, secret }: FieldChange): string {
  const { green, red, dim } = cli.style;
  // for people: `/definition/routes/GET /today`, and not a pointer with its escapes
  const name = dim(`${visible(path.replaceAll('~1', '/').replaceAll('~0', '~'))}:`);
  if (secret) return `${name} ${dim('(secret)')}`;
  if (large) return `${name} ${dim('(too large to be shown)')}`;
  const [old, now] = [before, after].map((value) => (value === undefined ? undefined : valueText(value)));
  if (old === undefined) return `${name} ${green(now ?? '')}`;
  return now === undefined ? `${name} ${red(old)}` : `${name} ${red(old)} -> ${green(now)}`;
}

function valueText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return visible(text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}...` : text);
}
