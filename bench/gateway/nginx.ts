import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ask } from './ask.js';
import { installed, type Server, startServer } from './server.js';
import { BODY_BYTES, EDITS, UPSTREAM_PREFIX } from './world.js';

/** Of the sources: the build copies nothing but TypeScript. */
const LUA = fileURLToPath(new URL('../../../bench/gateway/lua', import.meta.url));
const MODULES = ['/usr/lib/nginx/modules', '/usr/share/nginx/modules', '/usr/lib64/nginx/modules'];
const LUA_MODULES = ['ndk_http_module.so', 'ngx_http_lua_module.so'];
const ENDLESS = 1_000_000_000;
/** Of a shared dict, for each key: its slabs are powers of two. */
const DICT_BYTES = 400;

export const hasNginx = (): boolean => installed('nginx', '-v');
const luaModules = (): string[] | undefined =>
  MODULES.map((folder) => LUA_MODULES.map((name) => join(folder, name))).find((files) => files.every(existsSync));
/** nginx with its Lua module; that the libraries are there is seen when it starts. */
export const hasNginxLua = (): boolean => hasNginx() && luaModules() !== undefined;

export interface NginxPlace {
  directory: string;
  cores: string;
  port: number;
}

/** A small body whatever is asked for; at `/echo` what came of the request, for whoever verifies. */
export function startUpstream(place: NginxPlace): Promise<Server> {
  const seen = '$request_method $request_uri\\nx-gateway: $http_x_gateway\\nx-client-debug: $http_x_client_debug';
  const more = 'x-api-key: $http_x_api_key\\nx-request-id: $http_x_request_id\\nx-forwarded-for: $http_x_forwarded_for';
  return startNginx(
    'upstream',
    place,
    [],
    [
      `server { listen 127.0.0.1:${place.port} backlog=4096;`,
      `  default_type application/json; add_header ${EDITS.responseRemove} 1;`,
      `  location / { return 200 '${'x'.repeat(BODY_BYTES)}'; }`,
      `  location = ${UPSTREAM_PREFIX}/resource-0/echo { return 200 "${seen}\\n${more}\\nhost: $http_host\\n"; } }`,
    ],
  );
}

/** Passes everything on, and does none of the job: what a proxy costs at the least. */
export function startPlain(place: NginxPlace, upstream: number): Promise<Server> {
  return startNginx(
    'nginx plain',
    place,
    [],
    [
      ...upstreamBlock(upstream),
      `server { listen 127.0.0.1:${place.port} backlog=4096; location / { proxy_pass http://upstream; } }`,
    ],
  );
}

/** What `limit_req` lets a key do; its leaky bucket knows no calendar and no quota. */
export interface LimitReq {
  perSecond: number;
  burst: number;
}

/** Passes on what is within the limit, counted by the key as it was sent; checks no key. */
export function startLimitReq(place: NginxPlace, upstream: number, { perSecond, burst }: LimitReq): Promise<Server> {
  return startNginx(
    'nginx limit_req',
    place,
    [],
    [
      ...upstreamBlock(upstream),
      `limit_req_zone $http_x_api_key zone=consumers:64m rate=${perSecond}r/s; limit_req_status 429; limit_req_log_level info;`,
      // one passes beside the burst
      `server { listen 127.0.0.1:${place.port} backlog=4096;`,
      `  location / { limit_req zone=consumers burst=${burst - 1} nodelay; proxy_pass http://upstream; } }`,
    ],
  );
}

/** The whole job in Lua. `directory` has `keys`, `contexts` and `routes`, see job.lua. */
export async function startLua(place: NginxPlace, upstream: number, keys: number): Promise<Server> {
  const mebibytes = Math.max(16, Math.ceil((keys * DICT_BYTES) / 2 ** 20));
  const server = await startNginx('nginx + Lua', place, luaModules() ?? [], [
    `lua_package_path '${LUA}/?.lua;/usr/share/lua/5.1/?.lua;;';`,
    `lua_shared_dict keys ${mebibytes}m; lua_shared_dict counters ${mebibytes}m;`,
    `init_by_lua_block { require('job').load('${place.directory}') }`,
    ...upstreamBlock(upstream),
    `server { listen 127.0.0.1:${place.port} backlog=4096;`,
    `  set $rate_limit ''; set $api '';`,
    '  location / {',
    "    access_by_lua_block { require('job').access() }",
    "    log_by_lua_block { require('job').log() }",
    '    proxy_set_header X-API-Key ""; proxy_set_header X-Client-Debug "";',
    `    proxy_set_header ${EDITS.requestSet.join(' ')}; proxy_set_header X-Request-Id $request_id;`,
    '    proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;',
    '    proxy_set_header X-Forwarded-Host $http_host;',
    '    proxy_set_header Forwarded "for=$remote_addr;host=$http_host;proto=$scheme";',
    `    proxy_hide_header ${EDITS.responseRemove}; add_header ${EDITS.responseSet.join(' ')};`,
    '    add_header RateLimit $rate_limit; add_header X-Request-Id $request_id;',
    '    proxy_pass http://upstream;',
    '  }',
    "  location = /validate { content_by_lua_block { require('job').validate() } }",
    "  location = /observed { content_by_lua_block { require('job').observed() } } }",
  ]);
  return { ...server, observed: async () => Number((await ask(place.port, '/observed')).body) };
}

function upstreamBlock(port: number): string[] {
  return [
    `upstream upstream { server 127.0.0.1:${port}; keepalive 256; keepalive_requests ${ENDLESS}; }`,
    'proxy_http_version 1.1; proxy_set_header Connection "";',
  ];
}

/** One worker, everything that it writes in `directory`. */
async function startNginx(name: string, place: NginxPlace, modules: string[], http: string[]): Promise<Server> {
  const { directory, cores, port } = place;
  mkdirSync(directory, { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const lines = [
    ...modules.map((file) => `load_module ${file};`),
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    `daemon off; worker_processes 1; pid ${directory}/pid; error_log stderr error;`,
    'events { worker_connections 4096; }',
    'http {',
    '  access_log off; server_tokens off;',
    `  keepalive_timeout 600s; keepalive_requests ${ENDLESS};`,
    ...temporary.map((kind) => `  ${kind}_temp_path ${directory}/${kind}_temp;`),
    ...http.map((line) => `  ${line}`),
    '}',
  ];
  const file = join(directory, 'nginx.conf');
  writeFileSync(file, `${lines.join('\n')}\n`);
  // not the file that was compiled in: nothing is written outside of the directory
  const args = ['-e', 'stderr', '-p', directory, '-c', file];
  return startServer({ name, command: 'nginx', args, cores, port });
}
