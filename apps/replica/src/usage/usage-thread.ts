import { parentPort, workerData } from 'node:worker_threads';
import { UsageDisk } from './usage-disk.js';
import type { DiskAnswer, DiskCall } from './usage-disk-port.js';

const port = parentPort;
const disk = new UsageDisk((workerData as { directory: string }).directory);
if (disk.setAside !== null) port?.postMessage({ setAside: disk.setAside } satisfies DiskAnswer);

// One call after the other: each runs to its end before the next message is looked at. Null: there will be no more.
port?.on('message', (call: DiskCall | null) => {
  if (call) port.postMessage(answer(call));
  else void disk.close().finally(() => port.close());
});

function answer({ id, method, args }: DiskCall): DiskAnswer {
  try {
    return { id, value: (disk[method] as (...args: unknown[]) => unknown).apply(disk, args) };
  } catch (error) {
    return { id, error: (error as Error).message };
  }
}
