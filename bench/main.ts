/**
 * Runs one measurement: `npm run bench -- propagation --replicas 2`. Without a name it says what there is. Every script prints
 * the machine, what it measured and, taken in the same run, something to compare it with; `--help` prints its options.
 */
const SCRIPTS: Record<string, string> = {
  'start-up': 'npm start, first and second time',
  'helio-start': 'how long a person waits for helio --help and helio status',
  propagation: 'a write answered -> its key works at a replica: stream, store alone, etcd, PostgreSQL',
  revocation:
    'a key, a client, a token, all tokens of a client revoked -> refused in every region; with applied=all: proof',
  fleet: 'many replicas on one master: propagation, CPU, memory and bytes for each',
  'rest-writes': 'writes a second through the REST API',
  import: 'a million keys through POST /v1/import',
  apply: 'a catalogue of 2,000 APIs in files: apply, diff, export, prune; beside single writes',
  offline: 'a replica that was away for a week: bytes that it fetches',
  'cold-start': 'a replica with an empty disk and a million keys in the store',
  'replica-start': 'a replica with a million keys on its own disk; memory',
  'many-apis': 'what 2,000 APIs of 20 routes do to one write and one request',
  'key-bytes': 'what a new key costs on the wire',
  sizing: 'memory and disk of each part: empty, with a million keys, with 10,000 APIs',
  usage: 'questions about 30 days of hours of 100,000 subscriptions; merging what replicas report',
  soak: 'mixed load with revisions, killed workers and upstreams at fault: no wrong answer, every request accounted for',
  'promotion-steps': 'steps of a promotion, with jobs in process and through BullMQ; beside a bare placement',
  'promotion-kills': 'promotions, under which master, Redis, PostgreSQL and a replica are killed by -9',
  'gate-reporting': 'what counting for gates costs a gateway; beside the same build without it',
  gates: 'gates of promotions against random patterns of traffic: false rollbacks, false passes',
  throttle:
    'limits: cost, what is admitted and what beyond, calls of Redis; beside rate-limiter-flexible and nginx limit_req',
  gateway: 'the whole job of a gateway, beside nginx, nginx + Lua, haproxy, node:http + undici',
};

const [name, ...rest] = process.argv.slice(2);
if (name !== undefined && name in SCRIPTS) {
  process.argv.splice(2, process.argv.length, ...rest);
  await import(`./${name}.js`);
} else {
  const width = Math.max(...Object.keys(SCRIPTS).map(({ length }) => length));
  const list = Object.entries(SCRIPTS).map(([script, about]) => `  ${script.padEnd(width)}  ${about}`);
  const unknown = name === undefined || name === '--help' ? [] : [`There is no "${name}".`];
  process.stdout.write(`${[...unknown, 'npm run bench -- <name> [--help]', '', ...list].join('\n')}\n`);
  process.exitCode = unknown.length;
}
