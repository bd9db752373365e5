import type { Note, NoteKind } from './source/notes.js';

/** Of one kind of thing; the rest is a number, since a file can have thousands of consumers. */
const MOST_PLACES = 20;

const HEADINGS: Record<NoteKind, [title: string, says: string]> = {
  closed: [
    'Closed',
    'These kept callers out and have no counterpart. What they protected lets nobody in until you have decided.',
  ],
  lost: ['Left out', 'These have no counterpart.'],
  changed: ['Different', 'These came along, and behave in another way.'],
};
export const NOTE_KINDS = Object.keys(HEADINGS) as NoteKind[];

/** What did not come along, and what to do about it, as Markdown: what is said of several things is said once. */
export function reportOf(notes: readonly Note[], made: string): string {
  const sections = NOTE_KINDS.flatMap((kind) => {
    const found = notes.filter((note) => note.kind === kind);
    if (found.length === 0) return [];
    const [title, says] = HEADINGS[kind];
    return [`## ${title}\n\n${says}\n\n${groupsOf(found).map(textOf).join('\n')}`];
  });
  const rest = sections.length === 0 ? 'Everything came along.\n' : sections.join('\n');
  return `# What did not come along\n\n${made}\n\n${rest}`;
}

function groupsOf(notes: readonly Note[]): Note[][] {
  const groups = new Map<string, Note[]>();
  for (const note of notes) {
    const key = JSON.stringify([note.why, note.todo]);
    const group = groups.get(key);
    if (group) group.push(note);
    else groups.set(key, [note]);
  }
  return [...groups.values()];
}

function textOf(group: readonly Note[]): string {
  const [{ why, todo } = { why: '', todo: '' }] = group;
  const places = group.slice(0, MOST_PLACES).map((note) => `  - ${placeOf(note)}\n`);
  const more = group.length > MOST_PLACES ? `  - and ${group.length - MOST_PLACES} more\n` : '';
  return `- **${capital(why)}.** ${capital(todo)}.\n${places.join('')}${more}`;
}

/** `kong.yaml:27 services[weather]` */
export function placeOf({ file, line, where }: Note): string {
  return `${file}${line === null ? '' : `:${line}`} \`${where}\``;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
