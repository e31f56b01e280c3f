// Brokers in this process that share one database, one key ring and one clock, which a test sets.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKey } from '../../src/adapters/keyring/keyring.ts';
import type { Clock, Logger } from '../../src/ports/index.ts';
import type { Tuning } from '../../src/runtime/app.ts';
import { type Config, parseConfig } from '../../src/runtime/config.ts';
import { databaseIn, startTestBroker, type TestBroker } from './broker.ts';

export interface Replicas {
  /** Of the deployment. */
  publicUrl: string;
  clock: Clock & {
    /** Time passes, by both clocks. */
    pass(ms: number): void;
    /** Someone sets the wall clock. */
    set(ms: number): void;
  };
  env: Record<string, string>;
  /** Starts one more. `adminKey` is the same for all. */
  start(env?: Record<string, string>, log?: Logger): Promise<TestBroker>;
  /** What a command of an operator is configured with. */
  config(env?: Record<string, string>): Config;
  /** Stops those that run, and deletes the database. */
  close(): Promise<void>;
}

export async function createReplicas(tuning: Tuning = {}, declared?: object): Promise<Replicas> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-replicas-'));
  const publicUrl = 'https://valetkey.example';
  const env: Record<string, string> = {
    ...(await databaseIn(folder)),
    VALETKEY_KEYS: generateKey('k1'),
    VALETKEY_ADMIN_KEY: randomBytes(32).toString('base64url'),
    VALETKEY_PUBLIC_URL: publicUrl,
  };
  let passed = 0;
  let set = 0;
  const clock = {
    now: () => Date.now() + passed + set,
    monotonic: () => performance.now() + passed,
    pass(ms: number) {
      passed += ms;
    },
    set(ms: number) {
      set += ms;
    },
  };
  const running = new Set<TestBroker>();
  return {
    publicUrl,
    clock,
    env,
    async start(more = {}, log) {
      const broker = await startTestBroker({ ...env, ...more }, declared, { clock, ...tuning }, log);
      const one: TestBroker = {
        ...broker,
        async stop() {
          running.delete(one);
          await broker.stop();
        },
      };
      running.add(one);
      return one;
    },
    config(more = {}) {
      const parsed = parseConfig({ ...env, ...more }, () => '{}');
      if (!parsed.ok) throw new Error(parsed.issues.join());
      return parsed.config;
    },
    async close() {
      await Promise.all([...running].map((broker) => broker.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
