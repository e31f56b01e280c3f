// The connection that receives notifications (LISTEN), reconnected whenever it is lost.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type Pool } from 'pg';
import { CHANGE_LISTEN_RETRY_MS, CHANGE_NOTIFY_PROBE_MS } from '../../domain/time-limits.ts';
import type { Address } from './database.ts';

export const CHANNEL = 'valetkey_changes';

export interface ChangeListener {
  /** Closes the connection without waiting for the server; another one is made. */
  drop(): void;
  stop(): Promise<void>;
}

/**
 * Undefined where no notification arrives: the database does not support them, or a pooler holds them back. `onNotification`
 * has its payload, and is called after each reconnect too, since one may have been missed; `onLoss` when the connection is lost.
 */
export async function startListening(
  address: Address,
  pool: Pool,
  onNotification: (payload?: string) => void,
  onLoss: () => void,
): Promise<ChangeListener | undefined> {
  let isStopped = false;
  let client: Client | undefined;

  async function connect(): Promise<Client> {
    const fresh = new Client(address.connection);
    fresh.on('error', () => undefined);
    try {
      await fresh.connect();
      await fresh.query(`listen ${CHANNEL}`);
      return fresh;
    } catch (error) {
      await fresh.end().catch(() => undefined);
      throw error;
    }
  }

  function use(connected: Client): void {
    client = connected;
    connected.on('notification', ({ payload }) => onNotification(payload));
    connected.once('end', () => void reconnect());
    onNotification();
  }

  async function reconnect(): Promise<void> {
    client = undefined;
    onLoss();
    while (!isStopped) {
      try {
        const fresh = await connect();
        if (isStopped) return void fresh.end().catch(() => undefined);
        return use(fresh);
      } catch {
        onNotification();
        await pause(CHANGE_LISTEN_RETRY_MS, undefined, { ref: false });
      }
    }
  }

  let first: Client | undefined;
  try {
    first = await connect();
    if (!(await receives(first, pool))) {
      await first.end();
      return undefined;
    }
  } catch {
    await first?.end().catch(() => undefined);
    return undefined;
  }
  use(first);
  return {
    drop: () => void client?.connection.stream.destroy(),
    async stop() {
      isStopped = true;
      await client?.end().catch(() => undefined);
    },
  };
}

/** Whether a notification that is sent on another connection arrives on this one. */
async function receives(client: Client, pool: Pool): Promise<boolean> {
  const probe = randomUUID();
  const arrived = new Promise<boolean>((resolve) => {
    client.on('notification', ({ payload }) => payload === probe && resolve(true));
    client.once('end', () => resolve(false));
  });
  await pool.query('select pg_notify($1, $2)', [CHANNEL, probe]);
  return Promise.race([arrived, pause(CHANGE_NOTIFY_PROBE_MS, false, { ref: false })]);
}
