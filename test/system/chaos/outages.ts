// What befalls brokers on PostgreSQL, and their lines to it, while readers read.
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { fairWeather, type Scenario } from './scenarios.ts';

/** One cannot reach the database; the others can. */
export const cutOff =
  (ms: number, how: 'cut' | 'stall'): Scenario =>
  (stage) =>
    stage.cutOff(stage.places(1), how, () => pause(ms));

/** Nobody can. */
export const databaseAway =
  (ms: number, how: 'cut' | 'stall'): Scenario =>
  (stage) =>
    stage.cutOff(stage.places(), how, () => pause(ms));

/** Nobody can, and one of them is killed: it cannot start before the database is back. */
export const databaseAwayAndKill =
  (ms: number): Scenario =>
  (stage) =>
    stage.cutOff(stage.places(), 'cut', async (mend) => {
      await pause(ms);
      const dead = stage.kill();
      await pause(300);
      mend();
      await dead;
    });

/** The one that cannot is killed, with what it could not keep lying on its own disk, to which it comes back. */
export const cutOffAndKill =
  (ms: number): Scenario =>
  async (stage) => {
    const [place] = stage.places(1);
    if (!place?.broker) throw new Error('there is nobody to cut off');
    const { broker } = place;
    await stage.cutOff([place], 'cut', async (mend) => {
      await pause(ms);
      const dead = stage.kill(broker);
      await pause(100);
      mend();
      await dead;
    });
  };

/** The server ends now this session, now that: amid a statement, between two, or that of whoever listens. */
export const terminations =
  (ms: number): Scenario =>
  async (stage) => {
    const client = new Client({ connectionString: stage.options.postgres });
    await client.connect();
    try {
      for (const deadline = Date.now() + ms; Date.now() < deadline; await pause(stage.random.between(20, 200)))
        await client.query(
          `select pg_terminate_backend(pid) from (select pid from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() order by random() limit 1) as one`,
        );
    } finally {
      await client.end();
    }
    await fairWeather(stage);
  };
