import { parentPort, workerData } from 'node:worker_threads';
import { FormatError } from '#artifacts';
import { StateWriter } from './state-writer.js';
import type { WriterAnswer, WriterCall } from './writer-port.js';

const port = parentPort;
const writer = new StateWriter((workerData as { directory: string }).directory);

// One call after the other: each runs to its end before the next message is looked at. Null: there will be no more.
port?.on('message', (call: WriterCall | null) => {
  if (call) port.postMessage(answer(call.id, call.method, call.args));
  else void writer.close().finally(() => port.close());
});

function answer(id: number, method: WriterCall['method'], args: unknown[]): WriterAnswer {
  try {
    const call = writer[method] as (...args: unknown[]) => unknown;
    return { id, value: call.apply(writer, args) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { id, error: { format: error instanceof FormatError, code: code ?? null, message } };
  }
}
