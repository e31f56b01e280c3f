// A barrier between processes on one file: waits until the others have applied what this one has committed. It is a row among
// the changes. Who reads it applies what came before, and writes its number into a small file beside the database.
import { setTimeout as pause } from 'node:timers/promises';
import { REPLICAS_POLL_MS } from '../../domain/time-limits.ts';
import type { Store } from '../../ports/index.ts';
import type { SqliteChangeFeed } from './change-feed.ts';
import type { SqliteAccess } from './client.ts';
import type { Liveness } from './liveness.ts';

export function createBarrier(
  { write }: Pick<SqliteAccess, 'write'>,
  { addBarrier }: Pick<SqliteChangeFeed, 'addBarrier'>,
  { subscribers }: Pick<Liveness, 'subscribers'>,
): Pick<Store, 'untilApplied'> {
  return {
    async untilApplied(ms) {
      if (subscribers().length === 0) return 0;
      const seq = await write(addBarrier);
      // From here on: nothing can be applied before it is committed, which takes long on a slow disk.
      const until = performance.now() + ms;
      for (;;) {
        const behind = subscribers().filter((other) => other.appliedSeq < seq);
        const isAwaited = behind.some(({ isResponsive }) => isResponsive);
        if (!isAwaited || performance.now() >= until) return behind.length;
        await pause(REPLICAS_POLL_MS);
      }
    },
  };
}
