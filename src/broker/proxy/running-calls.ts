// Calls that run: which connection each is of, so that the end of a grant ends them too, by whichever replica it was ended.

import { INVALIDATION_RETRY_MS } from '../../domain/time-limits.ts';
import type { Logger, Store } from '../../ports/index.ts';

/** Why a call is aborted: its connection was revoked, or is on hold. */
export const GRANT_ENDED = Symbol('the grant has ended');
/** Connections per query. */
const AT_ONCE = 500;

export interface RunningCalls {
  /** To be called before the call is sent; returns what is to be called when it has ended. */
  add(connectionId: string, call: AbortController): () => void;
  /** Connections may have changed; undefined: any. Calls of those whose grant has ended are aborted. */
  connectionsChanged(ids: readonly string[] | undefined): void;
  /** Looks no more whether grants have ended. */
  stop(): void;
}

export interface RunningCallsParts {
  store: Pick<Store, 'connectionVersions'>;
  log: Logger;
}

export function createRunningCalls({ store, log }: RunningCallsParts): RunningCalls {
  const running = new Map<string, Set<AbortController>>();
  let isStopped = false;

  async function check(ids: readonly string[]): Promise<void> {
    for (let i = 0; i < ids.length; i += AT_ONCE) {
      const some = ids.slice(i, i + AT_ONCE);
      const rows = new Map((await store.connectionVersions(some)).map((row) => [row.id, row]));
      for (const id of some) {
        const status = rows.get(id)?.status ?? 'revoked';
        if (status === 'revoked' || status === 'on_hold')
          for (const call of running.get(id) ?? []) call.abort(GRANT_ENDED);
      }
    }
  }

  async function checkUntilDone(ids: readonly string[]): Promise<void> {
    const left = ids.filter((id) => running.has(id));
    if (isStopped || left.length === 0) return;
    try {
      await check(left);
    } catch (error) {
      log.warn(
        { err: error, connections: left.length },
        'proxy: whether running calls may go on is not known, will retry',
      );
      setTimeout(() => void checkUntilDone(left), INVALIDATION_RETRY_MS).unref();
    }
  }

  return {
    add(id, call) {
      const calls = running.get(id) ?? new Set();
      running.set(id, calls.add(call));
      return () => {
        calls.delete(call);
        if (calls.size === 0 && running.get(id) === calls) running.delete(id);
      };
    },
    connectionsChanged(ids) {
      if (running.size > 0) void checkUntilDone(ids ?? [...running.keys()]);
    },
    stop() {
      isStopped = true;
    },
  };
}
