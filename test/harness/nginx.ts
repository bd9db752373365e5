import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startDaemon } from './daemon.js';
import { requireBinary } from './services.js';

export interface Nginx {
  port: number;
  /** Ends the process and removes its files. */
  stop: () => Promise<void>;
}

export interface NginxConfig {
  /** what stands in the one `server` block, `listen` left out */
  server: string;
  /** what stands before it in the `http` block */
  http?: string;
}

const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** An nginx of one worker on a port of its own, that writes nowhere but in a directory of its own. */
export async function startNginx({ server, http = '' }: NginxConfig): Promise<Nginx> {
  // tells this nginx from another server that took the port in between
  const token = randomBytes(8).toString('hex');
  const configOf = (port: number, dir: string): string => `
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    daemon off; worker_processes 1; pid ${join(dir, 'pid')}; error_log stderr warn;
    events { worker_connections 1024; }
    http {
      access_log off;
      ${TEMPORARY.map((kind) => `${kind}_temp_path ${join(dir, kind)};`).join(' ')}
      ${http}
      server {
        listen 127.0.0.1:${port};
        location = /${token} { return 204; }
        ${server}
      }
    }`;
  const { port, stop } = await startDaemon({
    binary: requireBinary('nginx'),
    command: (port, dir) => {
      const file = join(dir, 'nginx.conf');
      writeFileSync(file, configOf(port, dir));
      // `-e`: before it has read where to log, it would write where it was compiled to
      return { args: ['-e', 'stderr', '-p', dir, '-c', file], env: {} };
    },
    answers: async (port) => {
      const { status } = await fetch(`http://127.0.0.1:${port}/${token}`);
      if (status !== 204) throw new Error(`another server has the port: ${status}`);
    },
  });
  return { port, stop };
}
