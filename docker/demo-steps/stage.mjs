// What the steps of the demonstration are told and shown with.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const started = performance.now();
const seconds = (since = started) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** What is not as it should be: the message says what was expected, and what was seen. */
export class NotSo extends Error {}

export function title(text) {
  process.stdout.write(`\n${seconds().padStart(8)}  ${text}\n`);
}

export function tell(text) {
  for (const line of text.trimEnd().split('\n')) process.stdout.write(`          ${line}\n`);
}

/** @throws NotSo */
export function expect(isSo, expected, seen) {
  if (!isSo) throw new NotSo(`expected: ${expected}\nseen: ${typeof seen === 'string' ? seen : JSON.stringify(seen)}`);
  tell(`✓ ${expected}`);
}

/**
 * Waits for what `look` answers with something true.
 *
 * @returns how long it took, as text
 * @throws NotSo after so many seconds, with what `look` said last
 */
export async function until(expected, within, look, every = 100) {
  const since = performance.now();
  for (let seen; ; await sleep(every)) {
    seen = await look();
    if (seen === true) break;
    if (performance.now() - since > within * 1000) expect(false, `${expected}, within ${within} s`, seen);
  }
  const took = seconds(since);
  tell(`✓ ${expected} (${took})`);
  return took;
}

/** Runs the command line as a person would, and shows it. @returns what it wrote, and the revision that it made */
export async function helio(...args) {
  tell(`$ helio ${args.map((each) => (/^[\w@:./=,-]+$/.test(each) ? each : `'${each}'`)).join(' ')}`);
  const { code, out, notes } = await run(args);
  if (code !== 0) throw new NotSo(`helio ended with ${code}: ${notes}${out}`);
  const revision = /^revision (\S+)$/m.exec(notes)?.[1];
  return { out, revision };
}

/** The same, unseen. */
export async function quietly(...args) {
  return JSON.parse((await run([...args, '-o', 'json'])).out);
}

/** Its exit code, and its lines as they come. */
export function run(args, onLine) {
  const child = spawn(process.execPath, ['/app/dist/apps/cli/src/main.js', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let notes = '';
  let line = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
    const lines = (line + text).split('\n');
    line = lines.pop();
    if (onLine) for (const each of lines) onLine(each);
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    notes += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, notes }));
  });
}

/** Somebody who calls an API in a region, 20 times a second, and keeps count of what is answered. */
export class Caller {
  counts = {};
  /** the first answers that were not 200, and when they came */
  odd = [];
  /** which of the API has answered last */
  release;
  #goes = true;

  constructor(region, path, key) {
    this.region = region;
    this.path = path;
    this.key = key;
    this.done = this.#run();
  }

  async #run() {
    while (this.#goes) {
      const [answer] = await Promise.all([call(this.region, this.path, this.key), sleep(50)]);
      const { status, release } = answer;
      this.release = release;
      if (status !== 200 && this.odd.length < 5) this.odd.push({ at: seconds(), ...answer });
      this.counts[status] = (this.counts[status] ?? 0) + 1;
    }
  }

  stop() {
    this.#goes = false;
    return this.done;
  }
}

/** One request to the gateway of a region. Status 0: none was answered. */
export async function call(region, path, key, headers = {}) {
  try {
    const response = await fetch(`http://${region}-gateway:9080${path}`, {
      headers: { 'X-API-Key': key, ...headers },
      signal: AbortSignal.timeout(5_000),
    });
    const body = await response.json();
    return {
      status: response.status,
      code: body.code,
      detail: body.detail,
      upstream: body.upstream,
      release: response.headers.get('x-release'),
    };
  } catch (error) {
    return { status: 0, code: error.cause?.code ?? error.message };
  }
}

/** The line between a region and the masters. */
export async function line(region, change) {
  const body = JSON.stringify(change);
  const response = await fetch(`http://switch-${region}:7000/`, {
    method: 'PUT',
    body,
    signal: AbortSignal.timeout(5_000),
  });
  if (!response.ok) throw new Error(`the line to ${region} answers ${response.status}: ${await response.text()}`);
}
