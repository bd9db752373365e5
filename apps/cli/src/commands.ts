import type { Entry } from './command.js';
import { OPERATING } from './operate/operating.js';
import { OFFICE_RESOURCES } from './resources/office-resources.js';
import { type Resource, RESOURCES } from './resources/resources.js';

/** All commands, in the order of `helio --help`. */
export const COMMANDS: readonly Entry[] = [
  ...RESOURCES.map(entryOf),
  {
    name: 'promote',
    summary: 'Bring a release to the next environment, wave by wave',
    group: 'catalogue',
    load: () => import('./resources/promote.command.js'),
  },
  {
    name: 'rollback',
    summary: 'Go back to an earlier release at once',
    group: 'catalogue',
    load: () => import('./resources/rollback.command.js'),
  },

  // files
  {
    name: 'apply',
    summary: 'Make it so: what documents in files declare',
    group: 'files',
    load: () => import('./apply/apply.command.js'),
  },
  {
    name: 'diff',
    summary: 'Show how what there is differs from documents in files',
    group: 'files',
    load: () => import('./apply/diff.command.js'),
  },
  {
    name: 'export',
    summary: 'Write what there is as documents in files',
    group: 'files',
    load: () => import('./apply/export.command.js'),
  },
  {
    name: 'import',
    summary: 'Load consumers in bulk, or convert files of other gateways',
    group: 'files',
    load: () => import('./import/import.command.js'),
  },

  // operating
  ...OPERATING,
  ...OFFICE_RESOURCES.map(entryOf),

  // this tool
  {
    name: 'login',
    summary: 'Keep a master and an access token as a context',
    group: 'tool',
    load: () => import('./contexts/login.command.js'),
  },
  {
    name: 'context',
    summary: 'List, choose and delete contexts',
    group: 'tool',
    load: () => import('./contexts/context.command.js'),
  },
  {
    name: 'version',
    summary: 'The version of this tool, and of the master',
    group: 'tool',
    load: () => import('./version.command.js'),
  },
  {
    name: 'completion',
    summary: 'Print a script that completes commands in bash, zsh or fish',
    group: 'tool',
    load: () => import('./completion.command.js'),
  },
];

function entryOf({ name, aliases, summary, group }: Resource): Entry {
  const load = async (): ReturnType<Entry['load']> => {
    const { resourceCommand } = await import('./resources/resource.command.js');
    return { define: resourceCommand(name) };
  };
  return { name, aliases, summary, group, load };
}
