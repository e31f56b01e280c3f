// Seeds a database with many connections within seconds: one connection is created through the store and multiplied with
// SQL. Tokens that an experiment reads are really encrypted.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { createKeyRing, generateKey, parseKeyRing } from '../src/adapters/keyring/keyring.ts';
import { encryptCredentials } from '../src/broker/secrets/token-encryption.ts';
import type { AuditEntry } from '../src/domain/audit.ts';
import type { Connection } from '../src/domain/connection.ts';
import { openSqlite } from '../src/stores/sqlite/store.ts';

export interface SeedOptions {
  connections: number;
  integrations?: number;
  /** Length of each access token; undefined: no token is read, and all have the same placeholder ciphertext. */
  token?: number;
  /** The token endpoint of an integration. */
  tokenUrl?: string | ((integration: string) => string);
  /** When the token of a connection was issued, expires, and is due for a refresh; by default all are of the same moment. */
  times?: (n: number) => TokenTimes;
  trustedIssuer?: string;
  /** Of the API that calls through the proxy go to. */
  apiBaseUrl?: string;
}

/** Milliseconds since the epoch. */
export interface TokenTimes {
  issuedAt: number;
  expiresAt: number;
  dueAt: number;
}

export interface Seeded {
  folder: string;
  database: string;
  callerKey: string;
  /** The environment of a broker on this database. */
  env: Record<string, string>;
  idOf(n: number): string;
  ownerOf(n: number): string;
  integrationOf(n: number): string;
  /** Makes connections `from` to `to` due for a refresh, now. */
  makeDue(from: number, to: number): void;
  remove(): Promise<void>;
}

const DAY = 24 * 60 * 60_000;
const TEMPLATE = 'con_template';

/** Connections are numbered from 0. The caller removes the folder. */
export async function seed(options: SeedOptions): Promise<Seeded> {
  const { connections, integrations = 1, token, tokenUrl = 'http://127.0.0.1:9/token', trustedIssuer } = options;
  const overrides = options.apiBaseUrl === undefined ? {} : { api_base_url: options.apiBaseUrl };
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-bench-'));
  const database = join(folder, 'valetkey.db');
  const keys = generateKey('bench');
  const callerKey = `vk_${randomBytes(32).toString('base64url')}`;
  const ids = Array.from({ length: integrations }, (_, i) => `bench-${i}`);

  const config = join(folder, 'config.json');
  const client = { client_id: 'bench', client_secret: 'bench-client-secret' };
  const paramsOf = (id: string) => {
    const url = typeof tokenUrl === 'string' ? tokenUrl : tokenUrl(id);
    return { authorization_url: url.replace(/token$/, 'authorize'), token_url: url };
  };
  const setUp = { provider: 'generic-oauth2', ...client, scopes: ['read'], overrides };
  const declared = {
    integrations: ids.map((id) => ({ id, ...setUp, params: paramsOf(id) })),
    callers: [
      {
        name: 'bench',
        key: callerKey,
        grants: [{ actions: ['token', 'jwt:verify', 'proxy'], integrations: ['bench-*'], owners: ['user_*'] }],
      },
    ],
    trusted_issuers: trustedIssuer === undefined ? [] : [{ issuer: trustedIssuer, audiences: ['bench'] }],
  };
  writeFileSync(config, JSON.stringify(declared));

  await createTemplate(database, ids);
  const raw = new Sqlite(database);
  multiply(raw, options, token === undefined);
  if (token !== undefined) addTokens(raw, keys, connections, integrations, token);
  raw.pragma('wal_checkpoint(TRUNCATE)');
  raw.close();

  return {
    folder,
    database,
    callerKey,
    env: {
      VALETKEY_PORT: '0',
      VALETKEY_DATABASE_URL: `file:${database}`,
      VALETKEY_KEYS: keys,
      VALETKEY_CONFIG: config,
      VALETKEY_OUTBOUND_ALLOW: '127.0.0.1,localhost',
    },
    idOf,
    ownerOf,
    integrationOf: (n) => ids[n % integrations]!,
    makeDue(from, to) {
      const now = new Sqlite(database, { timeout: 10_000 });
      now
        .prepare('update connections set next_refresh_at = ? where id >= ? and id < ?')
        .run(Date.now() - 1, idOf(from), idOf(to));
      now.close();
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export const idOf = (n: number) => `con_${String(n).padStart(26, '0')}`;
const ownerOf = (n: number) => `user_${n}`;

/** Creates the tables, the integrations, and one connection. */
async function createTemplate(database: string, integrations: string[]): Promise<void> {
  const store = await openSqlite(`file:${database}`);
  const at = Date.now();
  for (const id of integrations) {
    const setup = {
      scopes: [],
      scopesNamed: true,
      params: {},
      overrides: {},
      returnOrigins: [],
      requireFinish: false,
      rate: null,
      theme: null,
      createdAt: at,
      updatedAt: at,
    };
    const secrets = { clientSecret: null, privateKey: null, keyId: null, certificate: null };
    await store.putIntegration({ id, provider: 'generic-oauth2', clientId: 'bench', ...secrets, ...setup }, by(at));
  }
  const added = await store.addConnection(
    template(integrations[0]!, at),
    { accessToken: null, refreshToken: null, idToken: null, credentials: null },
    null,
    by(at),
  );
  if (added !== 'added') throw new Error('the template connection was not added');
  await store.close();
}

function template(integration: string, now: number): Connection {
  return {
    id: TEMPLATE,
    integration,
    owner: 'user_template',
    label: '',
    status: 'active',
    reason: null,
    scopes: ['https://www.example.com/auth/calendar.readonly', 'profile'],
    metadata: { team: 'blue' },
    params: {},
    captured: {},
    identity: null,
    account: null,
    tokenType: 'Bearer',
    issuedAt: now,
    expiresAt: now + DAY,
    nextRefreshAt: now + DAY - 300_000,
    reauthDueAt: null,
    lastRefreshedAt: now,
    lastRefreshError: null,
    lastCheckedAt: null,
    lastCheckError: null,
    failures: 0,
    generation: 1,
    upstreamRevocation: null,
    createdAt: now,
    updatedAt: now,
  };
}

const by = (at: number): AuditEntry => ({
  id: `evt_${randomBytes(8).toString('hex')}`,
  at,
  action: 'connection.imported',
  outcome: 'ok',
  actor: 'system',
  keyId: null,
  subject: null,
  integration: null,
  owner: null,
  connectionId: null,
  address: null,
  requestId: null,
  clientRequestId: null,
  traceId: null,
  changed: null,
  session: null,
  agentId: null,
  agentName: null,
  purpose: null,
  detail: null,
  count: 1,
});

function multiply(client: Sqlite.Database, options: SeedOptions, withGrants: boolean): void {
  const { connections, integrations = 1, times } = options;
  const own: Record<string, string> = {
    id: `printf('con_%026d', n)`,
    owner: `'user_' || n`,
    integration: `'bench-' || (n % ${integrations})`,
    next_refresh_at: 'next_refresh_at + n % 1000000',
  };
  if (times) {
    client.function('issued_at_of', (n) => times(Number(n)).issuedAt);
    client.function('expires_at_of', (n) => times(Number(n)).expiresAt);
    client.function('due_at_of', (n) => times(Number(n)).dueAt);
    Object.assign(own, {
      issued_at: 'issued_at_of(n)',
      last_refreshed_at: 'issued_at_of(n)',
      expires_at: 'expires_at_of(n)',
      next_refresh_at: 'due_at_of(n)',
    });
  }
  const columns = client.pragma('table_info(connections)') as { name: string }[];
  const series = `with recursive series(n) as (select 0 union all select n + 1 from series where n + 1 < ${connections})`;
  client.pragma('synchronous = OFF');
  client.pragma('cache_size = -400000');
  client.exec(`
    begin;
    insert into connections (${columns.map(({ name }) => name).join(', ')})
      ${series} select ${columns.map(({ name }) => own[name] ?? name).join(', ')}
      from series, (select * from connections where id = '${TEMPLATE}');
    delete from grants where connection_id = '${TEMPLATE}';
    delete from leases where connection_id = '${TEMPLATE}';
    delete from connections where id = '${TEMPLATE}';
    ${withGrants ? `insert into grants (connection_id, access_token) ${series} select printf('con_%026d', n), 'v1.bench' from series;` : ''}
    commit;`);
}

function addTokens(
  client: Sqlite.Database,
  keys: string,
  connections: number,
  integrations: number,
  characters: number,
): void {
  const parsed = parseKeyRing(keys);
  if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
  const ring = createKeyRing(parsed.keys);
  const insert = client.prepare('insert into grants (connection_id, access_token, refresh_token) values (?, ?, ?)');
  client.transaction(() => {
    for (let n = 0; n < connections; n++) {
      const accessToken = randomBytes(characters).toString('base64url').slice(0, characters);
      const refreshToken = randomBytes(48).toString('base64url');
      const integration = `bench-${n % integrations}`;
      const place = { id: idOf(n), integration, owner: ownerOf(n), label: '' };
      const grant = encryptCredentials(ring, place, { accessToken, refreshToken, idToken: null, credentials: null });
      insert.run(idOf(n), grant.accessToken, grant.refreshToken);
    }
  })();
}
