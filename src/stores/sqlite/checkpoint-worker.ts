// A thread that writes the write-ahead log into the file of the database, for `checkpoints.ts`: the event loop would wait for
// the disk for tens of milliseconds.
import { parentPort, workerData } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import type { CheckpointMode, CheckpointReply } from './checkpoints.ts';

const port = parentPort!;
// It waits for no lock: who holds one is in the middle of something.
const client = new Sqlite((workerData as { path: string }).path, { fileMustExist: true, timeout: 0 });
client.pragma('synchronous = FULL');

port.on('message', (mode: CheckpointMode | 'close') => {
  if (mode === 'close') {
    client.close();
    port.close();
    return;
  }
  port.postMessage(checkpoint(mode));
});

function checkpoint(mode: CheckpointMode): CheckpointReply {
  try {
    const [result] = client.pragma(`wal_checkpoint(${mode})`) as [{ busy: number }];
    return { isDone: result.busy === 0 };
  } catch {
    // What the disk refuses here it refuses the commits too, which say so.
    return { isDone: false };
  }
}
