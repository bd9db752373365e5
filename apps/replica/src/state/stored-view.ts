import { type Nack, tableName } from '#model';
import { decodeHeld } from './held-entry.js';
import { keyText } from './key-text.js';
import type { StoredView } from './quarantine.js';
import type { StateTables } from './state-database.js';
import { tableRange } from './state-layout.js';

const MAX_NACKS = 100;

/** The state on the disk, as what is held back is judged on. */
export function storedView({ entries, held }: StateTables): StoredView {
  return {
    chain: (name) => entries.get(name) ?? null,
    chainHas: (name) => entries.doesExist(name),
    chainNames: (table) => entries.getKeys(tableRange(table)),
    held: (name) => {
      const bytes = held.get(name);
      return bytes === undefined ? null : decodeHeld(bytes);
    },
    heldNames: (table) => held.getKeys(table === undefined ? {} : tableRange(table)),
  };
}

/** Entries that cannot be used; the first 100. */
export function readNacks({ held }: StateTables): Nack[] {
  const nacks: Nack[] = [];
  for (const { key: name, value } of held.getRange({})) {
    const { reason } = decodeHeld(value);
    if (reason === null) continue;
    const table = name.readUInt8(0);
    nacks.push({ table: tableName(table), key: keyText(table, name.subarray(1)), ...reason });
    if (nacks.length === MAX_NACKS) break;
  }
  return nacks;
}
