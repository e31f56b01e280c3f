// Calls that run: which connection each is of, so that the end of a grant ends them too, by whichever replica it was ended. The
// same where their caller may not make them any more.
import { InFlight } from '../../domain/in-flight.ts';
import { INVALIDATION_RETRY_MS } from '../../domain/time-limits.ts';
import type { Logger, Store } from '../../ports/index.ts';

/** Why a call is aborted: its connection was revoked, or is on hold. */
export const GRANT_ENDED = Symbol('the grant has ended');
/** Why a call is aborted: its caller, or its permission, is gone. */
export const CALLER_ENDED = Symbol('the caller may not call any more');
/** Connections per query. */
const AT_ONCE = 500;

export interface RunningCall {
  ending: AbortController;
  /** Whether its caller may still make it, by what is in memory now. */
  stillMay(): boolean;
}

export interface RunningCalls {
  /** To be called before the call is sent; returns what is to be called when it has ended. */
  add(connectionId: string, call: RunningCall): () => void;
  /** Connections may have changed; undefined: any. Calls of those whose grant has ended are aborted. */
  connectionsChanged(ids: readonly string[] | undefined): void;
  /** Callers have changed: calls that their callers may not make any more are aborted. */
  callersChanged(): void;
  /** Looks no more whether grants have ended. */
  stop(): void;
}

export interface RunningCallsParts {
  store: Pick<Store, 'connectionVersions'>;
  log: Logger;
}

export function createRunningCalls({ store, log }: RunningCallsParts): RunningCalls {
  const running = new Map<string, InFlight<RunningCall>>();
  let isStopped = false;

  async function check(ids: readonly string[]): Promise<void> {
    for (let i = 0; i < ids.length; i += AT_ONCE) {
      const some = ids.slice(i, i + AT_ONCE);
      const rows = new Map((await store.connectionVersions(some)).map((row) => [row.id, row]));
      for (const id of some) {
        const status = rows.get(id)?.status ?? 'revoked';
        if (status !== 'revoked' && status !== 'on_hold') continue;
        for (const { item } of running.get(id) ?? []) item.ending.abort(GRANT_ENDED);
      }
    }
  }

  async function checkUntilDone(ids: readonly string[]): Promise<void> {
    const left = ids.filter((id) => running.has(id));
    if (isStopped || left.length === 0) return;
    try {
      await check(left);
    } catch (error) {
      const connections = left.length;
      log.warn({ err: error, connections }, 'proxy: whether running calls may go on is not known, will retry');
      setTimeout(() => void checkUntilDone(left), INVALIDATION_RETRY_MS).unref();
    }
  }

  return {
    add(id, call) {
      const calls = running.get(id) ?? new InFlight();
      running.set(id, calls);
      const entry = calls.add(call);
      return () => {
        calls.remove(entry);
        if (calls.size === 0 && running.get(id) === calls) running.delete(id);
      };
    },
    connectionsChanged(ids) {
      if (running.size > 0) void checkUntilDone(ids ?? [...running.keys()]);
    },
    callersChanged() {
      for (const calls of running.values())
        for (const { item } of calls) if (!item.stillMay()) item.ending.abort(CALLER_ENDED);
    },
    stop() {
      isStopped = true;
    },
  };
}
