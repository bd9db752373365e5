import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installed, type Server, startServer } from './server.js';
import { EDITS, UPSTREAM_PREFIX } from './world.js';

export const hasHaproxy = (): boolean => installed('haproxy', '-v');

/**
 * The job with maps and a stick table. It has no histogram: its own counters are all that it keeps.
 *
 * @param directory has keys.map, contexts.map and routes.map
 */
export function startHaproxy(
  place: { directory: string; cores: string; port: number },
  upstream: number,
  keys: number,
): Promise<Server> {
  const { directory, cores, port } = place;
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'haproxy.cfg');
  const [setName, setValue] = EDITS.requestSet;
  const [answerName, answerValue] = EDITS.responseSet;
  const lines = [
    'global',
    '  nbthread 1',
    '  maxconn 4096',
    'defaults',
    '  mode http',
    '  timeout connect 2s',
    '  timeout client 600s',
    '  timeout server 600s',
    '  http-reuse always',
    '  option forwardfor',
    'frontend gateway',
    `  bind 127.0.0.1:${port} backlog 4096`,
    '  unique-id-format %{+X}o%ci%cp%Ts%rt%pid',
    `  stick-table type binary len 32 size ${keys + 10} expire 1h store http_req_cnt`,
    '  http-request set-var(txn.context) path,field(2,/,2)',
    `  http-request return status 404 unless { var(txn.context),map_str(${directory}/contexts.map) -m found }`,
    `  http-request return status 404 unless { path,field(4,/),map_str(${directory}/routes.map) -m found } METH_GET`,
    '  http-request return status 401 unless { req.hdr(x-api-key) -m found }',
    '  http-request set-var(txn.hash) req.hdr(x-api-key),sha2(256)',
    `  http-request set-var(txn.key) var(txn.hash),hex,map_str(${directory}/keys.map)`,
    '  http-request return status 401 unless { var(txn.key) -m found }',
    '  http-request set-var(txn.api) var(txn.key),field(1,|)',
    '  http-request return status 403 unless { var(txn.api),strcmp(txn.context) eq 0 }',
    '  http-request set-var(txn.limit) var(txn.key),field(2,|),add(0)',
    '  http-request track-sc0 var(txn.hash)',
    '  http-request return status 429 hdr Retry-After 3600 if { sc_http_req_cnt(0),sub(txn.limit) gt 0 }',
    `  http-request set-path ${UPSTREAM_PREFIX}/%[path,field(4,/,0)]`,
    '  http-request set-var(txn.left) sc_http_req_cnt(0),neg,add(txn.limit)',
    '  http-request set-var(txn.id) unique-id',
    '  http-request del-header x-api-key',
    `  http-request del-header ${EDITS.requestRemove}`,
    `  http-request set-header ${setName} ${setValue}`,
    '  http-request set-header X-Request-Id %[var(txn.id)]',
    '  http-request set-header X-Forwarded-Proto http',
    '  http-request set-header X-Forwarded-Host %[req.hdr(host)]',
    '  http-request set-header Forwarded for=%[src];host=%[req.hdr(host)];proto=http',
    `  http-response del-header ${EDITS.responseRemove}`,
    `  http-response set-header ${answerName} ${answerValue}`,
    '  http-response set-header RateLimit "\\"rate\\";r=%[var(txn.left)];t=3600"',
    '  http-response set-header X-Request-Id %[var(txn.id)]',
    '  default_backend upstream',
    'backend upstream',
    `  server one 127.0.0.1:${upstream}`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return startServer({ name: 'haproxy', command: 'haproxy', args: ['-db', '-q', '-f', file], cores, port });
}
