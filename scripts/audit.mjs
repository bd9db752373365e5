// `node scripts/audit.mjs`: known holes of `high` and above in what the lock file names, by npm's registry. Ends with 0 where there are
// none, with 1 where there are some, or nothing is known, and with 75 where the registry does not take the question at all: a mirror that
// only gives packages out. That is no good answer either, and `.ci/run` says so, but no later run would have another one.
import { spawnSync } from 'node:child_process';

const NOT_TAKEN = [404, 405, 501];

const { stdout, error } = spawnSync('npm', ['audit', '--json'], { encoding: 'utf8', maxBuffer: 2 ** 28 });
const answer = error ? { message: error.message } : read(stdout);
if (answer.vulnerabilities) {
  const holes = Object.values(answer.vulnerabilities).filter(({ severity }) => ['high', 'critical'].includes(severity));
  for (const { name, severity, range, via } of holes) {
    const titles = via.map((one) => (typeof one === 'string' ? `by ${one}` : `${one.title} (${one.url})`));
    console.error(`${name} ${range}, ${severity}: ${titles.join('; ')}`);
  }
  console.log(`${holes.length} packages with known holes of "high" and above`);
  process.exitCode = holes.length > 0 ? 1 : 0;
} else {
  console.error(`the registry was not asked, or did not answer: ${answer.message ?? answer.error?.summary}`);
  process.exitCode = NOT_TAKEN.includes(answer.statusCode) ? 75 : 1;
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text.trim() || 'npm audit wrote nothing' };
  }
}
