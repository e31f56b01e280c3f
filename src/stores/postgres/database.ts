// The PostgreSQL database: how its URL is read, and how connections are made.
import { Pool, type PoolConfig } from 'pg';
import {
  POSTGRES_ANSWER_TIMEOUT_MS,
  POSTGRES_CONNECT_TIMEOUT_MS,
  POSTGRES_CONTROL_TIMEOUT_MS,
} from '../../domain/time-limits.ts';
import { StoreError } from '../../ports/index.ts';
import { codeOf, isWorthRetrying, storeError } from './errors.ts';
import { OWN_PARAMETERS, TLS_PARAMETERS } from './url-parameters.ts';

/** For heartbeats and the change feed, which are short, and detect an outage soon. */
export const ASIDE: PoolConfig = {
  connectionTimeoutMillis: POSTGRES_CONTROL_TIMEOUT_MS,
  query_timeout: POSTGRES_CONTROL_TIMEOUT_MS,
};
const DEFAULT_POOL = 10;
const MAX_POOL = 200;
const MAX_CONFLICTS = 6;

export interface Address {
  /** With the password. */
  connection: PoolConfig;
  /** The most connections of this process for requests; it has two more for heartbeats and the change feed. */
  pool: number;
  /** False: a pooler in transaction mode is in between, where prepared statements must have no names. */
  isNamed: boolean;
}

/**
 * Parses `postgres://user:password@host:port/database`, with the parameters of `pg` (`sslmode`, `sslrootcert`, `options`,
 * …) and two of our own: `pool` (connections, by default 10) and `prepare=false` (no named statements). Throws
 * `StoreError`, whose message holds nothing of the URL.
 */
export function readAddress(text: string): Address {
  if (!URL.canParse(text)) throw new StoreError('a PostgreSQL URL is postgres://user:password@host:port/database');
  const url = new URL(text);
  const pool = Number(url.searchParams.get('pool') ?? DEFAULT_POOL);
  if (!Number.isInteger(pool) || pool < 1 || pool > MAX_POOL)
    throw new StoreError(`pool is a number of connections from 1 to ${MAX_POOL}`);
  const prepare = url.searchParams.get('prepare') ?? 'true';
  if (prepare !== 'true' && prepare !== 'false') throw new StoreError('prepare is true or false');
  checkTls(url.searchParams);
  for (const ours of OWN_PARAMETERS) url.searchParams.delete(ours);
  const connection: PoolConfig = {
    connectionString: url.href,
    connectionTimeoutMillis: POSTGRES_CONNECT_TIMEOUT_MS,
    query_timeout: POSTGRES_ANSWER_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'valetkey',
  };
  return { connection, pool, isNamed: prepare === 'true' };
}

/** `pg` ignores a parameter that it does not know, so that a typing error would turn TLS off. Throws `StoreError`. */
function checkTls(parameters: URLSearchParams): void {
  const meant = [...parameters.keys()].filter((name) => /^(ssl|tls)/i.test(name));
  if (!meant.every((name) => TLS_PARAMETERS.includes(name)))
    throw new StoreError(`of TLS, the parameters of the URL are ${TLS_PARAMETERS.join(', ')}; another one is there`);
  const mode = parameters.get('sslmode');
  if (mode !== null && !SSL_MODES.includes(mode)) throw new StoreError(`sslmode is one of ${SSL_MODES.join(', ')}`);
}

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

/** Connects lazily. Throws `StoreError` when a file that the URL names cannot be read. */
export function openPool({ connection }: Address, max: number, more: PoolConfig = {}): Pool {
  try {
    const pool = new Pool({ ...connection, pipeline: true, max, ...more });
    // A query in flight rejects by itself; a connection that ends while it is idle is of no interest.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => void client.on('error', () => undefined));
    return pool;
  } catch (cause) {
    throw storeError(cause);
  }
}

/** A single statement, again while it loses to a concurrent one, as it may where transactions are serializable by default. */
export async function untilSerialized<T>(statement: () => Promise<T>): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await statement();
    } catch (error) {
      if (attempts === MAX_CONFLICTS || !isWorthRetrying(error)) throw error;
    }
  }
}

/** The values of the column `value`; undefined when there is no such table. */
export async function rowsOf(pool: Pick<Pool, 'query'>, query: string): Promise<string[] | undefined> {
  try {
    const { rows } = await pool.query<{ value: string }>(query);
    return rows.map(({ value }) => value);
  } catch (error) {
    if (codeOf(error) === UNDEFINED_TABLE) return undefined;
    throw error;
  }
}

const UNDEFINED_TABLE = '42P01';
