import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface CommandLine {
  pid: number;
  /** program and arguments, joined by spaces */
  line: string;
}

/** What runs on this machine, as far as this user may see it. */
export function commandLines(): CommandLine[] {
  // slim images have /proc but no ps
  if (process.platform === 'linux') {
    return readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? readCommandLine(Number(entry)) : []));
  }
  const lines = execFileSync('ps', ['-axww', '-o', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  return lines.map((line) => ({ pid: Number.parseInt(line, 10), line: line.replace(/^\s*\d+\s/, '') }));
}

function readCommandLine(pid: number): CommandLine[] {
  try {
    return [{ pid, line: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') }];
  } catch {
    return []; // it has ended since the directory was read
  }
}
