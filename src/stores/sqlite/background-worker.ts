// What runs in the thread of `background-thread.ts`.
import { constants, getPriority, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import type { AuditEntry } from '../../domain/audit.ts';
import { auditWriter } from './audit-writer.ts';
import type { BackgroundOutcome, BackgroundTask, CheckpointMode } from './background-thread.ts';

/** The event loop comes first where processors are few. On Linux, the priority is the thread's; elsewhere it would be the process's. */
function comeAfterEventLoop(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(Math.max(getPriority(), constants.priority.PRIORITY_BELOW_NORMAL));
  } catch {
    // A sandbox may forbid it: then it comes beside it.
  }
}
comeAfterEventLoop();

const port = parentPort!;
// It waits for no lock: who holds one is in the middle of something.
const client = new Sqlite((workerData as { path: string }).path, { fileMustExist: true, timeout: 0 });
// Its commits go into the log alone, as those of the store, and it writes the log into the file when it is told to.
client.pragma('synchronous = NORMAL');
client.pragma('wal_autocheckpoint = 0');
client.pragma('secure_delete = ON');

const begin = client.prepare('BEGIN IMMEDIATE');
const commit = client.prepare('COMMIT');
const append = auditWriter(client);

port.on('message', (task: BackgroundTask | 'close') => {
  if (task === 'close') {
    client.close();
    port.close();
    return;
  }
  const outcome = outcomeOf(task);
  // In a turn of its own: a thread that is ended goes on to the end of its turn, in which statements may do nothing.
  setImmediate(() => port.postMessage(outcome));
});

function outcomeOf(task: BackgroundTask): BackgroundOutcome {
  try {
    return task.kind === 'checkpoint' ? checkpoint(task.mode) : appendAll(task.entries);
  } catch (error) {
    if (client.inTransaction) client.exec('ROLLBACK');
    const { code, message } = error as { code?: string; message: string };
    return code?.startsWith('SQLITE_BUSY') ? 'busy' : { failed: message };
  }
}

/** Writes the log into the file. */
function checkpoint(mode: CheckpointMode): BackgroundOutcome {
  type Result = { busy: number; log: number; checkpointed: number };
  const [{ busy, log, checkpointed }] = client.pragma(`wal_checkpoint(${mode})`) as [Result];
  if (mode !== 'TRUNCATE' && log > 0 && log === checkpointed) restartLog();
  return busy === 0 ? 'done' : 'busy';
}

/**
 * All of the log is in the file: the next commit begins it again from its start, and waits until its new head is on the
 * disk, also with `synchronous = NORMAL` (`walFrames` in SQLite's `wal.c`).
 */
function restartLog(): void {
  begin.run();
  client.pragma('user_version = 1');
  commit.run();
}

/** In one commit, which is not on the disk yet. */
function appendAll(entries: readonly AuditEntry[]): BackgroundOutcome {
  begin.run();
  for (const entry of entries) append(entry);
  commit.run();
  return 'done';
}
