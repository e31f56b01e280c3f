// Fault scenarios for brokers on PostgreSQL, while readers read.
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { noFaults, type Scenario } from './scenarios.ts';

/** One replica cannot reach the database. */
export const replicaDisconnected =
  (ms: number, how: 'cut' | 'stall'): Scenario =>
  (context) =>
    context.disconnect(context.replicas(1), how, () => pause(ms));

/** No replica can reach the database. */
export const databaseOutage =
  (ms: number, how: 'cut' | 'stall'): Scenario =>
  (context) =>
    context.disconnect(context.replicas(), how, () => pause(ms));

/** No replica can reach the database, and one is killed: it cannot start before the database is back. */
export const databaseOutageAndKill =
  (ms: number): Scenario =>
  (context) =>
    context.disconnect(context.replicas(), 'cut', async (reconnect) => {
      await pause(ms);
      const killed = context.kill();
      await pause(300);
      reconnect();
      await killed;
    });

/** A disconnected replica is killed, and restarts with its own rescue file. */
export const replicaDisconnectedAndKilled =
  (ms: number): Scenario =>
  async (context) => {
    const [replica] = context.replicas(1);
    if (!replica?.broker) throw new Error('no replica can be disconnected');
    const { broker } = replica;
    await context.disconnect([replica], 'cut', async (reconnect) => {
      await pause(ms);
      const killed = context.kill(broker);
      await pause(100);
      reconnect();
      await killed;
    });
  };

/** The server terminates random sessions: during a statement, when idle, or the change feed's LISTEN. */
export const sessionsTerminated =
  (ms: number): Scenario =>
  async (context) => {
    const client = new Client({ connectionString: context.options.postgres });
    await client.connect();
    try {
      for (const deadline = Date.now() + ms; Date.now() < deadline; await pause(context.random.between(20, 200)))
        await client.query(
          `select pg_terminate_backend(pid) from (select pid from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() order by random() limit 1) as one`,
        );
    } finally {
      await client.end();
    }
    await noFaults(context);
  };
