// docs/pictures: what helio shows on a terminal, against the system of `npm start` on ports of its own. Needs a build, and a minute.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { spawn } from '@lydell/node-pty';
import xterm from '@xterm/headless';
import { Rig } from '../dist/bench/local-system.js';
import { svgOf } from './terminal-svg.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const HELIO = join(ROOT, 'dist/apps/cli/src/main.js');
const WITHIN_MS = 60_000;
const TRAFFIC_MS = 15_000;

/** What is shown where a person would have typed it: `until` says at what sight the picture is taken, `answer` what is typed then. */
const PICTURES = {
  status: { line: 'helio status', columns: 140 },
  promote: {
    line: 'helio promote museum:v1 --to prod --waves eu-west/us-east,ap-south --soak 5 --gates minRequests=0 --watch',
    columns: 110,
    until: /done[^\n]*wave 1/,
  },
  apply: { line: 'helio apply -f shop/', columns: 110, answer: [/Apply\?/, 'y\r'] },
};

/** @returns {Promise<Record<string, string>>} SVG by file name */
export async function makePictures() {
  const rig = new Rig(18_480);
  const directory = mkdtempSync(join(tmpdir(), 'helio-pictures-'));
  const env = { PATH: process.env.PATH, TERM: 'xterm-256color', XDG_CONFIG_HOME: directory };
  const helio = (...args) => run(env, directory, args);
  try {
    const { system } = await rig.start();
    helio('login', '--local', '--home', rig.home);
    prepare(helio, system, directory);
    await callDemo(system);
    const made = {};
    for (const [name, picture] of Object.entries(PICTURES))
      made[`docs/pictures/${name}.svg`] = await taken(picture, env, directory);
    return made;
  } finally {
    await rig.remove();
    rmSync(directory, { recursive: true });
  }
}

/** An API that waits to be promoted, and a plan in files that is another one by now. */
function prepare(helio, { upstream }, directory) {
  helio('plan', 'create', 'gold', '--rate', 'limit=100,per=second,burst=200');
  helio('api', 'create', 'museum', 'v1');
  const openapi = join(ROOT, 'docs/examples/museum.yaml');
  const made = ['--openapi', openapi, '--upstream', upstream, '--plans', 'gold', '-o', 'name'];
  const release = helio('release', 'create', 'museum:v1', ...made).trim();
  helio('placement', 'update', 'dev', 'museum:v1', '*', '--release', release, '--reason', 'its first release');
  helio('promote', 'museum:v1', '--to', 'staging', '--soak', '1', '--gates', 'minRequests=0', '--watch');
  const shop = join(directory, 'shop');
  mkdirSync(shop);
  const file = (name, text) => writeFileSync(join(shop, name), text);
  file('plans.yaml', 'kind: plan\nid: silver\nrate: { limit: 20, per: second }\nquota: { limit: 10000, per: day }\n');
  helio('apply', '-f', 'shop/', '--yes');
  file('plans.yaml', 'kind: plan\nid: silver\nrate: { limit: 50, per: second, burst: 80 }\n');
  file(
    'crm.yaml',
    'kind: application\nid: crm\nname: CRM\n---\nkind: subscription\napplication: crm\napi: museum:v1\nplan: gold\n',
  );
}

/** So that there is something to be seen. */
async function callDemo({ regions, demo }) {
  const path = new URL(demo.url).pathname;
  const end = Date.now() + TRAFFIC_MS;
  while (Date.now() < end) {
    const calls = regions.map(({ gateway, environment }) =>
      fetch(gateway + path, { headers: { 'x-api-key': demo.keys[environment] } }).then((response) => response.text()),
    );
    await Promise.all(calls);
    await sleep(50);
  }
  await sleep(6_000); // replicas tell it every 5 s
}

async function taken({ line, columns, until, answer }, env, directory) {
  const rows = 60; // more than any of them has
  const screen = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true });
  const shown = (text) => new Promise((resolve) => screen.write(text, resolve));
  await shown(`\x1b[2m$\x1b[22m \x1b[1m${line}\x1b[22m\r\n`);
  const args = [HELIO, ...line.split(' ').slice(1)];
  const pty = spawn(process.execPath, args, { cwd: directory, env, cols: columns, rows });
  let output = '';
  const [asked, typed] = answer ?? [];
  let question = asked;
  pty.onData((more) => {
    output += more;
    void shown(more);
    if (!question?.test(output)) return;
    question = undefined;
    pty.write(typed);
  });
  const ended = new Promise((resolve) => pty.onExit(({ exitCode }) => resolve(exitCode)));
  const seen = until ? sight(() => until.test(output)) : ended;
  const code = await Promise.race([seen, ended, late(line)]);
  if (code) throw new Error(`${line} ended with ${code}:\n${output}`);
  await shown('');
  const picture = svgOf(screen, line);
  pty.kill();
  await ended;
  return picture;
}

async function sight(isSeen) {
  while (!isSeen()) await sleep(100);
}

async function late(line) {
  await sleep(WITHIN_MS, undefined, { ref: false });
  throw new Error(`${line} did not come to its picture in ${WITHIN_MS / 1000} s`);
}

function run(env, cwd, args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [HELIO, ...args], { env, cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`helio ${args.join(' ')} ended with ${status}:\n${stderr}`);
  return stdout;
}
