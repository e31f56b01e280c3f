// A broker for tests over HTTP: the real one, in this process or (`startBroker` of the demo) in one of its own.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { start, type Tuning } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { expectDescribed } from './openapi-validation.ts';

export type Json = Record<string, unknown>;
export interface Answer {
  status: number;
  headers: Headers;
  body: Json;
}

export interface TestBroker {
  url: string;
  adminKey: string;
  /** The path of its SQLite file, for a look inside and for moving times. */
  database: string;
  /** As the admin, or with another key; `body` is sent as JSON. */
  ask(method: string, path: string, body?: unknown, key?: string): Promise<Answer>;
  /** A caller's key with these grants; every action on everything by default. */
  callerKey(grant?: { actions?: string[]; integrations?: string[]; owners?: string[] }): Promise<string>;
  stop(): Promise<void>;
}

export async function ask(url: string, key: string, method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await fetch(new URL(path, url), {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return received(method, path, response);
}

/** The answer to a request; it must be as described. */
export async function received(method: string, path: string, response: Response): Promise<Answer> {
  const { status, headers } = response;
  const text = await response.text();
  expectDescribed({ method, path, status, headers, text });
  return { status, headers, body: text === '' ? {} : (JSON.parse(text) as Json) };
}

/**
 * The database of a broker whose files are in this folder: SQLite's, or a new one of PostgreSQL when the tests are run
 * with VALETKEY_TEST_STORE=postgres.
 */
export async function databaseIn(folder: string): Promise<Record<string, string>> {
  if (process.env.VALETKEY_TEST_STORE !== 'postgres')
    return { VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}` };
  const { aDatabase } = await import('./postgres.ts');
  return { VALETKEY_DATABASE_URL: await aDatabase(), VALETKEY_DATA_DIR: folder };
}

/**
 * On a database file of its own, which is removed with it. `env` is laid over a set-up for loopback; `declared` is what
 * the file of VALETKEY_CONFIG holds.
 */
export async function startTestBroker(
  env: Record<string, string> = {},
  declared?: object,
  tuning?: Tuning,
): Promise<TestBroker> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-test-'));
  const adminKey = randomBytes(32).toString('base64url');
  const database = join(folder, 'valetkey.db');
  const parsed = parseConfig(
    {
      VALETKEY_PORT: '0',
      ...(await databaseIn(folder)),
      VALETKEY_ADMIN_KEY: adminKey,
      VALETKEY_OUTBOUND_ALLOW: '127.0.0.1,localhost',
      ...(declared && { VALETKEY_CONFIG: 'declared.json' }),
      ...env,
    },
    () => JSON.stringify(declared ?? {}),
  );
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const running = await start(parsed.config, createLogger('silent'), tuning);
  const asAdmin: TestBroker['ask'] = (method, path, body, key = adminKey) => ask(running.url, key, method, path, body);
  return {
    url: running.url,
    adminKey,
    database,
    ask: asAdmin,
    async callerKey({ actions = ['*'], integrations = ['*'], owners = ['*'] } = {}) {
      const grants = [{ actions, integrations, owners }];
      const { body } = await asAdmin('POST', '/v1/callers', { name: 'a test', grants });
      return String(body.key);
    },
    async stop() {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
