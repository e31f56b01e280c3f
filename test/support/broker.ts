// A broker for tests over HTTP: the real one, in this process. (`startBroker` of the demo starts one in its own process.)
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import type { Logger } from '../../src/ports/index.ts';
import { start, type Tuning } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { type HttpResponse, send } from './http-request.ts';
import { expectMatchesOpenApi } from './openapi-validation.ts';
import { createMigratedFile } from './sqlite-file.ts';

export type Json = Record<string, unknown>;
export interface Answer {
  status: number;
  headers: Headers;
  body: Json;
}

export interface TestBroker {
  url: string;
  /** Of the port for callers, where there is one; then `ask` asks there. */
  internalUrl: string | undefined;
  adminKey: string;
  /** The path of its SQLite file, to inspect and to change rows. */
  database: string;
  /** Sends a request as the admin, or with another key; `body` is sent as JSON. */
  ask(method: string, path: string, body?: unknown, key?: string): Promise<Answer>;
  /** Creates a caller with these permissions (by default all) and returns its key. */
  callerKey(grant?: { actions?: string[]; integrations?: string[]; owners?: string[] }): Promise<string>;
  stop(): Promise<void>;
}

export async function ask(url: string, key: string, method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await send(new URL(path, url), {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return answerOf(method, path, response);
}

/** Reads a response, and expects it to match openapi.json. */
export async function readResponse(method: string, path: string, response: Response): Promise<Answer> {
  const { status, headers } = response;
  return answerOf(method, path, { status, headers, text: await response.text() });
}

/** Expects a response to match openapi.json. */
export function answerOf(method: string, path: string, { status, headers, text }: HttpResponse): Answer {
  expectMatchesOpenApi({ method, path, status, headers, text });
  return { status, headers, body: text === '' ? {} : (JSON.parse(text) as Json) };
}

/**
 * The environment for a new database: SQLite in this folder, or PostgreSQL when the tests are run with
 * VALETKEY_TEST_STORE=postgres.
 */
export async function databaseIn(folder: string): Promise<Record<string, string>> {
  if (process.env.VALETKEY_TEST_STORE !== 'postgres') {
    const path = join(folder, 'valetkey.db');
    await createMigratedFile(path);
    return { VALETKEY_DATABASE_URL: `file:${path}` };
  }
  const { createMigratedDatabase } = await import('./stores.ts');
  return { VALETKEY_DATABASE_URL: await createMigratedDatabase(), VALETKEY_DATA_DIR: folder };
}

/**
 * Starts a broker with its own database, which is removed when it stops. `env` overrides the defaults for loopback;
 * `declared` is the content of the VALETKEY_CONFIG file.
 */
export async function startTestBroker(
  env: Record<string, string> = {},
  declared?: object,
  tuning?: Tuning,
  log: Logger = createLogger('silent'),
): Promise<TestBroker> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-test-'));
  const adminKey = env.VALETKEY_ADMIN_KEY ?? randomBytes(32).toString('base64url');
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
  const running = await start(parsed.config, log, tuning);
  const { url, internalUrl } = running;
  const asAdmin: TestBroker['ask'] = (method, path, body, key = adminKey) =>
    ask(internalUrl ?? url, key, method, path, body);
  return {
    url,
    internalUrl,
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
