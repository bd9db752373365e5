import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWith, type Nginx, startNginx, until } from '#harness';
import { type Case, PROBED } from './case.js';
import { CORPUS } from './corpus.js';
import { NodeUpstream, Rig } from './rig.js';

let directory: string;
let upstream: NodeUpstream;
let nginx: Nginx;
let rig: Rig;
/** lines of the access log that were looked at */
let known = 0;

/** What nginx took for requests since the last time, those among them that it refused. */
const log = (): string[] => readFileSync(join(directory, 'access'), 'utf8').split('\n').slice(known, -1);

/** gateway ─▶ nginx ─▶ node: what nginx makes of the gateway's bytes is in its log, and what it passes on arrives at node. */
async function check(tried: Case): Promise<void> {
  await rig.check(tried, [tried.bytes]);
  const passed = tried.next === 'probe' ? [...tried.passed, PROBED] : tried.passed;
  const lines = passed.map(({ method, path }) => `200 ${method} ${path}`);
  const served = (): string[] => log().filter((line) => line.startsWith('200 '));
  await until(() => served().length >= lines.length, { what: `${lines.length} lines in the log of nginx`, every: 2 });
  const all = log();
  known += all.length;
  // a body that was broken off is a request that nginx gives up
  expect(all.filter((line) => !(tried.cut && /^4\d\d POST \/a$/.test(line)))).toEqual(lines);
}

describeWith('nginx', 'G1 in front of nginx, smuggling', () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'heliograph-smuggling-'));
    upstream = await NodeUpstream.start();
    nginx = await startNginx({
      http: `
        log_format seen escape=none '$status $request_method $request_uri';
        upstream node { server ${new URL(upstream.url).host}; keepalive 4; }
        keepalive_requests 1000000; client_max_body_size 0;`,
      server: `
        access_log ${join(directory, 'access')} seen;
        location / { proxy_pass http://node; proxy_http_version 1.1; proxy_set_header Connection ''; }`,
    });
    // the question whether it is up
    known = await until(() => log().length, { what: 'the first line in the log of nginx' });
    rig = await Rig.start(upstream, `http://127.0.0.1:${nginx.port}`);
  });

  afterAll(async () => {
    await rig.stop();
    await nginx.stop();
    await upstream.stop();
    rmSync(directory, { recursive: true });
  });

  describe.each(CORPUS)('by $name', ({ cases }) => {
    it.each(cases)('comes to nothing: $name', check);
  });

  it('has left nothing behind that came later', () => {
    expect(log()).toEqual([]);
  });
});
