// Waiting for a connection of the pool: bounded, counted, and refused in words of its own when the bound passes.
import type { Pool, PoolClient } from 'pg';
import { POSTGRES_CONNECT_TIMEOUT_MS } from '../../domain/time-limits.ts';
import { type DatabaseWaits, StoreBusyError } from '../../ports/index.ts';

export interface PoolWaits {
  /**
   * A connection. Waits for one up to `POSTGRES_CONNECT_TIMEOUT_MS` while all are in use, in the order of the calls, then
   * rejects with `StoreBusyError`; with the driver's error when none can be made.
   */
  connect(): Promise<PoolClient>;
  state(): DatabaseWaits;
}

interface Parts {
  pool: Pick<Pool, 'connect' | 'idleCount' | 'totalCount' | 'waitingCount' | 'options'>;
  monotonic: () => number;
}

/** The driver's, which has no code. */
const TIMED_OUT = 'timeout exceeded when trying to connect';

export function createPoolWaits({ pool, monotonic }: Parts): PoolWaits {
  let waited = 0;
  let waitedMs = 0;
  let timedOut = 0;

  async function afterOthers(): Promise<PoolClient> {
    const from = monotonic();
    try {
      return await pool.connect();
    } catch (error) {
      if (!(error instanceof Error) || error.message !== TIMED_OUT) throw error;
      timedOut++;
      throw new StoreBusyError(
        `none of ${pool.options.max} connections to PostgreSQL became free within ${POSTGRES_CONNECT_TIMEOUT_MS / 1_000} s`,
      );
    } finally {
      waited++;
      waitedMs += monotonic() - from;
    }
  }

  const isFree = () => pool.idleCount > pool.waitingCount || pool.totalCount < pool.options.max;
  return {
    connect: () => (isFree() ? pool.connect() : afterOthers()),
    state: () => ({ waiting: pool.waitingCount, waited, waitedMs, timedOut }),
  };
}
