// Withdrawals: what took access away within the last hour is remembered. If a standby takes the database over without the
// last commits, it would serve again what was revoked; so it is revoked once more.
import { LRUCache } from 'lru-cache';
import type { AuditEntry } from '../../domain/audit.ts';
import { upTo } from '../../domain/cache-bounds.ts';
import { WITHDRAWAL_TTL_MS } from '../../domain/time-limits.ts';
import {
  type Clock,
  type Logger,
  type RememberedWithdrawal,
  type Store,
  StoreError,
  type Withdrawal,
  type WithdrawalLog,
  type WithdrawingOperation,
} from '../../ports/index.ts';
import { KINDS, type Kind, repeat } from './kinds.ts';

export interface Withdrawals {
  /** The same store, which remembers the operations that take access away. */
  store: Store;
  /** Repeats what an earlier process of this machine remembered and the store has lost. Rejects with `StoreError`. */
  start(): Promise<void>;
  /**
   * The store was away and may have lost the last commits: the withdrawals among them are repeated, in their order. Rejects
   * with `StoreError` when that fails for some; then it may be called again.
   */
  repeatLost(): Promise<void>;
  /** What is remembered is in the log once it is fulfilled, as far as that can be written. */
  stop(): Promise<void>;
}

const MAX_REMEMBERED = 10_000;
/** Audit entries that are looked up by one query. */
const BATCH = 500;

interface Parts {
  store: Store;
  withdrawalLog: WithdrawalLog;
  clock: Pick<Clock, 'now' | 'monotonic'>;
  log: Logger;
}

/** False: the file was changed, or is of another version. */
function isOfLog({ id, withdrawal: { operation, args } }: RememberedWithdrawal): boolean {
  if (!Object.hasOwn(KINDS, operation)) return false;
  const kind = KINDS[operation] as Kind<WithdrawingOperation>;
  return kind.isInMemoryOnly !== true && kind.entries(args).some((entry: AuditEntry | undefined) => entry?.id === id);
}

export function createWithdrawals({ store, withdrawalLog, clock, log }: Parts): Withdrawals {
  const remembered = new LRUCache<string, RememberedWithdrawal>({
    ...upTo(MAX_REMEMBERED),
    ttl: WITHDRAWAL_TTL_MS,
    perf: { now: () => clock.monotonic() },
  });
  let unwritten: RememberedWithdrawal[] = [];
  let writing: Promise<void> | undefined;

  /** No one waits for it: the operation is committed. Those that come meanwhile are written together. */
  async function write(): Promise<void> {
    for (let some = unwritten; some.length > 0; some = unwritten) {
      unwritten = [];
      await withdrawalLog.add(some).catch((error: unknown) => {
        const fields = { err: error, withdrawals: some.length };
        log.warn(fields, 'withdrawals: writing to the log failed, only this process remembers them');
      });
    }
    writing = undefined;
  }

  function remember(one: RememberedWithdrawal, isInMemoryOnly: boolean): void {
    remembered.set(one.id, one);
    if (isInMemoryOnly) return;
    unwritten.push(one);
    writing ??= write();
  }

  /** The id of an entry that was committed: some operations leave out those that there was no need of. */
  async function committedOf(ids: string[]): Promise<string | undefined> {
    if (ids.length <= 1) return ids[0];
    const missing = new Set(await store.missingAuditEntries(ids));
    return ids.find((id) => !missing.has(id));
  }

  function remembering<Operation extends WithdrawingOperation>(operation: Operation): Store[Operation] {
    const kind: Kind<Operation> = KINDS[operation];
    const run = store[operation] as (...args: Parameters<Store[Operation]>) => ReturnType<Store[Operation]>;
    const wrapped = async (...args: Parameters<Store[Operation]>) => {
      const before = await kind.before?.(store, args);
      const outcome = await run(...args);
      if (kind.hasChanged(outcome)) {
        const withdrawal = { operation, args } as Withdrawal;
        const ids = kind.entries(args).map(({ id }) => id);
        // What was committed stays, and is answered so, whether it can be remembered or not.
        const id = await committedOf(ids).catch(() => undefined);
        if (id !== undefined) remember({ id, at: clock.now(), withdrawal, before }, kind.isInMemoryOnly === true);
      }
      return outcome;
    };
    return wrapped as Store[Operation];
  }

  async function missing(): Promise<RememberedWithdrawal[]> {
    const ids = [...remembered.rkeys()];
    const lost: RememberedWithdrawal[] = [];
    for (let i = 0; i < ids.length; i += BATCH) {
      const absent = new Set(await store.missingAuditEntries(ids.slice(i, i + BATCH)));
      // The oldest first, as they were committed.
      for (const id of ids.slice(i, i + BATCH)) {
        const one = absent.has(id) ? remembered.peek(id) : undefined;
        if (one) lost.push(one);
      }
    }
    return lost;
  }

  async function repeatLost(): Promise<void> {
    const lost = await missing();
    if (lost.length === 0) return;
    log.error({ withdrawals: lost.length }, 'withdrawals: the store has lost some, repeating them');
    let failure: unknown;
    for (const { id, withdrawal, before } of lost) {
      try {
        await repeat(store, withdrawal, before);
      } catch (error) {
        if (error instanceof StoreError) {
          failure ??= error;
          continue;
        }
        // The file was changed, or is of another version: that ends no start, and those behind it are repeated.
        log.error({ err: error, operation: withdrawal.operation, id }, 'withdrawals: one cannot be repeated, left out');
        remembered.delete(id);
      }
    }
    if (failure) throw failure;
  }

  const wrapped = Object.fromEntries(
    (Object.keys(KINDS) as WithdrawingOperation[]).map((operation) => [operation, remembering(operation)]),
  ) as Pick<Store, WithdrawingOperation>;
  return {
    store: { ...store, ...wrapped },
    async start() {
      const earlier = await withdrawalLog.since(clock.now() - WITHDRAWAL_TTL_MS).catch((error: unknown) => {
        log.warn({ err: error }, 'withdrawals: reading the log failed');
        return [];
      });
      for (const one of earlier) if (isOfLog(one)) remembered.set(one.id, one);
      await repeatLost();
    },
    repeatLost,
    async stop() {
      await writing;
    },
  };
}
