import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { it } from 'vitest';
import { recordingUpstream, until } from '#harness';
import { createLog } from '#platform';
import { LocalCounterStore, systemClock } from '#throttle';
import { planOp } from '../testing/sample-ops.js';
import { MemoryState } from '../testing/memory-state.js';
import { applicationOp, definitionOf, keyOp, placed } from '../testing/gateway-ops.js';
import { call, exchange } from '../testing/clients.js';
import { listenAdmin } from './admin-app.js';
import { Ask } from './ask.service.js';

it('nginx', async () => {
  const log = createLog('test', 'silent');
  const memory = new MemoryState();
  const ask = new Ask('eu-west', memory, new LocalCounterStore(systemClock).holder('ask'), log);
  memory.apply(placed(definitionOf({ routes: [{ method: 'GET', path: '/today' },{ method: 'POST', path: '/today' },{ method: 'GET', path: '/local', policies: { ip: { deny: ['127.0.0.1/32'] } } },{ method: 'GET', path: '/open', security: 'open' }] })),
    planOp('gold'), applicationOp({ 'weather:v1': 'gold' }), keyOp('K'));
  const app = await listenAdmin({ node: {} as never, ask, log, port: 0, host: '127.0.0.1' });
  const upstream = await recordingUpstream();
  const s = createServer().listen(0, '127.0.0.1'); await once(s, 'listening');
  const port = (s.address() as { port: number }).port; s.close(); await once(s, 'close');
  const dir = mkdtempSync('/tmp/ngx-');
  const docs = readFileSync('docs/running.md', 'utf8');
  for (const old of [false, true]) {
    let block = (/```nginx\n([\s\S]*?)```/.exec(docs)?.[1] ?? '').replace('127.0.0.1:9180', `127.0.0.1:${app.port}`);
    if (old) block = block.replace(/.*X-Forwarded.*\n/g, '');
    writeFileSync(`${dir}/n.conf`, `daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/err.log; events {}
http { access_log off; client_body_temp_path ${dir}/b; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
upstream upstream { server ${upstream.url.slice(7)}; }
server { listen 127.0.0.1:${port};
${block} } }`);
    const nginx = spawn('nginx', ['-e', `${dir}/err.log`, '-c', `${dir}/n.conf`], { stdio: 'inherit' });
    await until(async () => call(port, 'GET', '/').then(() => true, () => false), { what: 'nginx' });
    const try_ = async (what: string, method: string, path: string, h: Record<string, string> = {}, body?: string) => {
      const before = upstream.requests.length;
      const a = await call(port, method, path, h, body);
      console.log(old ? 'OLD' : 'NEW', what, a.status, a.headers['www-authenticate'] ?? '', 'upstream', upstream.requests.length - before);
    };
    const p = '/weather/v1/today';
    await try_('no key', 'GET', p);
    await try_('key', 'GET', p, { 'x-api-key': 'K' });
    await try_('key POST json', 'POST', p, { 'x-api-key': 'K', 'content-type': 'application/json' }, '{"a":1}');
    await try_('key POST multipart 0', 'POST', p, { 'x-api-key': 'K', 'content-type': 'multipart/form-data', 'content-length': '0' });
    await try_('key POST chunked', 'POST', p, { 'x-api-key': 'K', 'transfer-encoding': 'chunked' }, 'x'.repeat(100000));
    await try_('forged pair', 'GET', p, { 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/weather/v1/open' });
    await try_('forged pair, original', 'GET', p, { 'x-original-method': 'GET', 'x-original-uri': '/weather/v1/open' });
    await try_('forged pair + connection', 'GET', p, { connection: 'x-original-uri, x-original-method', 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/weather/v1/open' });
    await try_('ip denied', 'GET', '/weather/v1/local', { 'x-api-key': 'K' });
    await try_('ip denied, forged', 'GET', '/weather/v1/local', { 'x-api-key': 'K', 'x-forwarded-for': '192.0.2.1' });
    await try_('unknown', 'GET', '/nowhere');
    await try_('open', 'GET', '/weather/v1/open');
    await try_('dots', 'GET', '/weather/v1/open/../today');
    await try_('slashes', 'GET', '/weather/v1//today');
    await try_('bad key', 'GET', p, { 'x-api-key': 'Z' });
    console.log((await exchange(port, `GET http://a${p} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)).slice(0, 30));
    nginx.kill(); await once(nginx, 'exit');
  }
  console.log(readFileSync(`${dir}/err.log`, 'utf8').split('\n').slice(-6).join('\n'));
  await app.close(); ask.close(); await upstream.close();
}, 60000);
