import { Worker } from 'node:worker_threads';

/** A port that is listened on. Connections wait in it until some process that has its descriptor takes them. */
export interface GatewayPort {
  /** of this process, for as long as it lives or until `close` */
  fd: number;
  close(): Promise<void>;
}

/** One that this process opened. */
interface OpenedPort extends GatewayPort {
  port: number;
}

/** The ports of the gateway. */
export interface GatewayPorts {
  plain: GatewayPort;
  /** null: there is none in TLS */
  tls: OpenedPort | null;
}

/** Connections that wait to be taken by a worker. */
export const BACKLOG = 4096;

/**
 * Listens, tells the descriptor, and never gets to take a connection: its loop stands still from then on. Whoever uses the
 * port has it from this process: the docs of `server.listen(handle)` and of `stdio` name what has a `_handle`, or an `fd`.
 */
const HOLDER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const server = require('node:net').createServer();
  server.on('error', ({ message, code }) => parentPort.postMessage({ message, code }));
  server.listen(workerData.where, () => {
    parentPort.postMessage({ fd: server._handle.fd, port: server.address().port });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

/**
 * Listens on a port without taking connections from it. It stays open whatever becomes of the workers: while all of them
 * are replaced at once, clients wait and are not refused.
 *
 * node:cluster closes the port with its last worker, and a server of this process would take connections itself; so a
 * thread holds it that does nothing else.
 *
 * @param port 0: any free one @param setting that says it, for those who can change it
 * @throws Error that names the port, and the setting
 */
export function openPort(port: number, host: string | undefined, setting = 'GATEWAY_PORT'): Promise<OpenedPort> {
  const thread = new Worker(HOLDER, { eval: true, workerData: { where: { port, host, backlog: BACKLOG } } });
  thread.unref();
  return new Promise((resolve, reject) => {
    thread.once('error', reject);
    thread.once('message', (said: { fd: number; port: number } | { message: string; code: string | undefined }) => {
      if ('fd' in said) return resolve({ ...said, close: async () => void (await thread.terminate()) });
      void thread.terminate();
      reject(portError(port, setting, said));
    });
  });
}

/** One that whoever started this process has opened, and keeps open when it ends. */
function inheritedPort(fd: number): GatewayPort {
  return { fd, close: () => Promise.resolve() };
}

/**
 * @param port in plain HTTP
 * @param inheritedFd of that port, if it is open already; null: it is opened
 * @param tlsPort null: none
 * @throws Error that names the port, and the setting
 */
export async function openPorts(
  port: number,
  inheritedFd: number | null,
  tlsPort: number | null,
  host: string | undefined,
): Promise<GatewayPorts> {
  const plain = inheritedFd === null ? await openPort(port, host) : inheritedPort(inheritedFd);
  try {
    return { plain, tls: tlsPort === null ? null : await openPort(tlsPort, host, 'GATEWAY_TLS_PORT') };
  } catch (error) {
    await plain.close();
    throw error;
  }
}

export async function closePorts({ plain, tls }: GatewayPorts): Promise<void> {
  await Promise.all([plain.close(), tls?.close()]);
}

/** What keeps a port from being opened, for people who can change it. */
function portError(
  port: number,
  setting: string,
  { message, code }: { message: string; code: string | undefined },
): Error {
  if (code === 'EADDRINUSE')
    return new Error(`the gateway port ${port} is taken: stop what listens there, or set ${setting} to another`);
  if (code === 'EACCES')
    return new Error(
      `the gateway port ${port} may not be opened by this user: set ${setting} to one above 1023, or allow it`,
    );
  if (code === 'EADDRNOTAVAIL') return new Error(`HELIO_BIND: this machine does not have the address: ${message}`);
  return new Error(`the gateway port ${port} could not be opened: ${message}`);
}
