import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordingUpstream, type RecordingUpstream, until } from '#harness';
import { REGIONS, Rig } from './rig.js';

const EXAMPLES = 'docs/examples/pipelines';
const PIPELINES = ['github-actions.yml', 'gitlab-ci.yml'] as const;
type Pipeline = (typeof PIPELINES)[number];
type Stage = 'staging' | 'prod';

interface Step {
  script: string;
  strategy: string;
}

interface Ended {
  code: number;
  out: string;
  err: string;
}

let rig: Rig;
let broken: RecordingUpstream;
let checkout: string;
let runs = 0;

beforeAll(async () => {
  rig = await Rig.start();
  broken = await recordingUpstream();
  broken.fault = { kind: 'status', status: 500 };
  const { client } = rig.master;
  await client.post('/v1/environments', { id: 'staging', position: 20 });
  await client.post('/v1/regions', { id: 'test-west', environment: 'staging' });
  await client.post('/v1/regions', { id: 'ap-south', environment: 'prod' });
  await client.post('/v1/apis', { name: 'weather', version: 'v1' });
  checkout = mkdtempSync(join(tmpdir(), 'helio-checkout-'));
  for (const directory of ['ci', 'api']) mkdirSync(join(checkout, directory));
  copyFileSync(`${EXAMPLES}/promote.sh`, join(checkout, 'ci/promote.sh'));
});
afterAll(async () => {
  await rig?.stop();
  await broken?.close();
  rmSync(checkout, { recursive: true, force: true });
});

/** What a runner does for a stage, as the file says it; its strategy with less patience. */
function stepOf(pipeline: Pipeline, stage: Stage): Step {
  const file = parse(readFileSync(`${EXAMPLES}/${pipeline}`, 'utf8'));
  const step = (): { script: string; strategy: string } => {
    if (pipeline === 'gitlab-ci.yml')
      return { script: file[stage].script.join('\n'), strategy: file[stage].variables.STRATEGY };
    const { run, env } = file.jobs[stage].steps.find((one: { run?: string }) => one.run);
    return { script: run, strategy: env.STRATEGY };
  };
  const { script, strategy } = step();
  return {
    script,
    // how long answers take on a machine that runs other tests, too, says nothing of a release
    strategy: strategy
      .replace(/"soak": \d+/, '"soak": 1')
      .replace(/("minRequests": )[1-9]\d*/, '$130, "p95Factor": 1000'),
  };
}

function commit(url: string, note: number): void {
  const upstream = { targets: [{ url }], responseTimeoutMs: note * 1000 };
  const definition = { routes: [{ method: '*', path: '/*' }], upstream, security: 'open', plans: [] };
  writeFileSync(join(checkout, 'api/weather.json'), JSON.stringify({ definition }));
}

/** @param onOutput hears all of it, each time that more has come */
async function run(
  pipeline: Pipeline,
  stage: Stage,
  more: Record<string, string> = {},
  onOutput: (out: string) => void = () => undefined,
): Promise<Ended> {
  const { script, strategy } = stepOf(pipeline, stage);
  runs += 1;
  const shell = pipeline === 'gitlab-ci.yml' ? 'sh' : 'bash'; // what their runners take
  const child = spawn(shell, ['-e', '-c', script], {
    cwd: checkout,
    env: {
      PATH: process.env['PATH'],
      HELIO_MASTER: rig.master.url,
      HELIO_TOKEN: rig.master.adminToken,
      HELIO_RUN: `github-${runs}-1`,
      CI_JOB_ID: `${runs}`,
      STRATEGY: strategy,
      ...more,
    },
    stdio: ['ignore', 'pipe', 'pipe'], // from a socket bash would read what is for people
  });
  let heard = '';
  child.stdout.on('data', (chunk) => onOutput((heard += chunk)));
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number, out, err };
}

/** Callers in both regions that have replicas, until the work is done. */
async function withTraffic<T>(work: Promise<T>): Promise<T> {
  let open = true;
  const callers = REGIONS.map(async (region) => {
    while (open) {
      await rig.call(region, '/weather/v1/today');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  try {
    return await work;
  } finally {
    open = false;
    await Promise.all(callers);
  }
}

const promotions = async (): Promise<{ id: string; state: string; to: string }[]> =>
  rig.master.client.all('/v1/promotions');

describe.each(PIPELINES)('the example %s', (pipeline) => {
  const note = PIPELINES.indexOf(pipeline) * 10 + 1;

  it('ends with 2 where the release was not tested in the environment before', async () => {
    commit(rig.upstream.url, note);
    const { code, err } = await run(pipeline, 'prod');
    expect([code, err]).toEqual([2, expect.stringContaining('"code":"not_promotable"')]);
  });

  it('ends with 0 when a good release serves, in staging and then in prod', async () => {
    commit(rig.upstream.url, note);
    expect(await run(pipeline, 'staging')).toMatchObject({ code: 0, err: '' });
    const { code, out, err } = await withTraffic(run(pipeline, 'prod'));
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/release [0-9a-f]{64} of weather:v1\npromotion [0-9a-f-]{36} to prod\n {2}\{"at":/);
    expect(out).toMatch(/completed: [0-9a-f]{64} serves in prod\n$/);
  });

  it('ends with 1, and says why, when a release answers 500 and is rolled back', async () => {
    commit(broken.url, note);
    expect(await run(pipeline, 'staging')).toMatchObject({ code: 0, err: '' });
    const { code, err } = await withTraffic(run(pipeline, 'prod'));
    expect(code).toBe(1);
    expect(err).toMatch(
      /^rolled-back: 100\.00% of \d+ answers of weather:v1 in .* were errors; [\d.]+% are allowed\n$/,
    );
    expect((await promotions())[0]).toMatchObject({ state: 'rolled-back', to: 'prod' });
  });

  it('is still right when the master is killed in between, and asks for one promotion', async () => {
    commit(rig.upstream.url, note + 1);
    expect((await run(pipeline, 'staging')).code).toBe(0);
    const before = (await promotions()).length;
    let killed = false;
    const running = run(pipeline, 'prod', {}, (out) => {
      if (killed || !out.includes('"state":"soaking"')) return;
      killed = true;
      rig.master.kill('SIGKILL');
    });
    await until(() => killed, { what: 'the first wave to soak' });
    await rig.master.exited;
    await rig.restartMaster();
    const { out, ...ended } = await withTraffic(running);
    expect({ ...ended, promotions: (await promotions()).length }).toEqual({ code: 0, err: '', promotions: before + 1 });
    const states = [...out.matchAll(/"state":"([a-z-]+)"/g)].map(([, state]) => state);
    expect(states).toEqual(['approved', 'rolling', 'soaking', 'rolling', 'soaking', 'completed']); // each once
  });
});

describe('the script of both', () => {
  it('goes on with the promotion of an earlier run that was broken off, and refuses that of another release', async () => {
    commit(rig.upstream.url, 40);
    expect((await run('gitlab-ci.yml', 'staging')).code).toBe(0);
    const seconds = { HELIO_SECONDS: '1' }; // nobody calls it: it does not end in time
    const first = await run('gitlab-ci.yml', 'prod', seconds);
    const id = /promotion ([0-9a-f-]{36}) to prod/.exec(first.out)?.[1];
    expect([first.code, first.err]).toEqual([2, expect.stringContaining(`POST /v1/promotions/${id}/abort`)]);
    commit(rig.upstream.url, 41);
    expect((await run('gitlab-ci.yml', 'staging')).code).toBe(0);
    const other = await run('gitlab-ci.yml', 'prod');
    expect([other.code, other.err]).toEqual([2, expect.stringContaining('"code":"promotion_open"')]);
    commit(rig.upstream.url, 40);
    expect((await run('gitlab-ci.yml', 'staging')).code).toBe(0);
    const second = await withTraffic(run('gitlab-ci.yml', 'prod'));
    expect([second.code, second.out]).toEqual([
      0,
      expect.stringContaining(`promotion ${id} of this release is under way`),
    ]);
  }, 240_000);

  it('ends with 2 where no master answers, and where it is called wrongly', async () => {
    const away = await run('gitlab-ci.yml', 'prod', { HELIO_MASTER: 'http://127.0.0.1:9', HELIO_SECONDS: '1' });
    expect([away.code, away.err]).toEqual([2, expect.stringContaining('no end within 1 s')]);
    rmSync(join(checkout, 'api/weather.json'));
    const wrong = await run('gitlab-ci.yml', 'prod');
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('api/weather.json cannot be read')]);
  });
});
