import type { Command } from 'commander';
import { OPERATIONS } from '../api/operations.js';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { addListVerb, addReadVerb } from './read-verbs.js';
import { OFFICE_RESOURCES } from './office-resources.js';
import { OWN_VERBS } from './own-verbs.js';
import { RESOURCES, type Resource } from './resources.js';
import { addEditVerb } from './edit-verb.js';
import { type Verb, verbsOf } from './verbs.js';
import { addWriteVerb } from './write-verbs.js';

const ALL = [...RESOURCES, ...OFFICE_RESOURCES];
const VERBS = verbsOf(ALL, OPERATIONS);
const ORDER = ['list', 'get', 'create', 'update', 'edit', 'delete'];

/** The command of a resource: its verbs, made from the operations of the master. */
export function resourceCommand(name: string): Define {
  return (command: Command, cli: Cli) => {
    const resource = ALL.find((one) => one.name === name) as Resource;
    const verbs = [...(VERBS.get(name) ?? [])].sort((a, b) => rank(a) - rank(b));
    const read = verbs.find((verb) => verb.name === 'get');
    // what only the master writes is there to be read: `helio audit`
    const isRecord = !verbs.some((verb) => verb.name === 'get' || verb.name === 'create');
    for (const verb of verbs) {
      if (verb.operation.list) addListVerb(command, cli, resource, verb, isRecord);
      else if (verb.method === 'GET') addReadVerb(command, cli, resource, verb);
      else addWriteVerb(command, cli, resource, verb, read);
      if (verb.name === 'update' && read) addEditVerb(command, cli, resource, verb, read);
    }
    OWN_VERBS[name]?.(command, cli);
  };
}

function rank({ name }: Verb): number {
  const at = ORDER.indexOf(name);
  return at === -1 ? ORDER.length : at;
}
