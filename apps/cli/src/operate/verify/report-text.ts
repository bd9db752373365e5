import { type Style, visible } from '../../output/style.js';
import type { ChainReport, Fault } from './report.js';

const NEW_KEYS =
  'it is signed by a key that was not given, and that the chain does not name. Give all keys that have signed it: `/v1/signing-keys` of the master has them. If none of them is it, somebody else wrote there.';
const AGAIN =
  'what is there is not what was published, and replicas refuse it. For a copy: copy it anew. For the store itself: take the folder of the environment away while its master runs; it is filled again from PostgreSQL. Replicas keep what they have.';

/** For people: what was read, what is wrong and where, and what to do. */
export function textOfReport(report: ChainReport, style: Style): string {
  const { environment, head, revisions, segments, snapshots, blobs, releases, entries, bytes, notes, otherKeys } =
    report;
  const rows: [string, string][] = [
    ['head', head ? `revision ${head.revision}, epoch ${head.epoch}, signed ${head.issuedAt} by ${head.keyId}` : '-'],
    ['revisions', revisions ? `${revisions.first} to ${revisions.last}` : 'none'],
    ['segments', segmentsText(segments)],
    ['snapshots', `${snapshots}, with ${blobs} different blobs`],
    ['releases', `${releases}`],
    ['state', entries === null ? 'not known' : `${entries} entries, root ${head?.root ?? '-'}`],
    ['read', `${(bytes / 1_048_576).toFixed(1)} MiB`],
  ];
  const lines = rows.map(([title, text]) => `  ${title.padEnd(10)} ${visible(text)}`);
  if (otherKeys.length > 0)
    lines.push(
      `  note       the keys ${otherKeys.join(', ')} of some revisions or releases were not given: the head proves those by their hashes`,
    );
  lines.push(...notes.map((note) => `  note       ${visible(note)}`));
  return `${[`${style.bold(environment)}: ${verdict(report, style)}`, ...lines, ...faultLines(report, style)].join('\n')}\n`;
}

function verdict({ faultCount, signatures }: ChainReport, style: Style): string {
  if (faultCount > 0) return style.red(`${faultCount} ${faultCount === 1 ? 'thing is' : 'things are'} wrong`);
  if (signatures === 'checked') return style.green('proven');
  return style.yellow('whole, but no signature was checked: give --trusted-keys');
}

function segmentsText({ proven, alone }: ChainReport['segments']): string {
  return alone === 0 ? `${proven}` : `${proven}, and ${alone} by their signature alone: what was before them is gone`;
}

function faultLines({ faults, faultCount }: ChainReport, style: Style): string[] {
  const lines = faults.map(
    ({ object, code, detail }) => `  ${style.red('wrong')}      ${object}: ${code}: ${visible(detail)}`,
  );
  if (faultCount > faults.length) lines.push(`  ... and ${faultCount - faults.length} more`);
  const isKey = ({ code }: Fault): boolean => code === 'untrusted_key';
  if (faults.some(isKey)) lines.push(`  ${style.bold('next')}       ${NEW_KEYS}`);
  if (faults.some((fault) => !isKey(fault))) lines.push(`  ${style.bold('next')}       ${AGAIN}`);
  return lines;
}
