// The environment, and the files that it names, parsed once. Every fault is reported, by name, at the same time.
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { parseKeyRing, type RingKey } from '../adapters/keyring/keyring.ts';
import { parseAllow } from '../adapters/outbound/outbound.ts';
import { DeclaredFile } from '../api/index.ts';
import { loadCatalogue } from '../catalogue/load.ts';
import type { Provider } from '../domain/provider.ts';
import { isLoopback } from '../domain/urls.ts';
import { readDeclared } from './declarative-file.ts';

export interface Config {
  host: string;
  port: number;
  /** Undefined: `http://host:port`, known once it listens. */
  publicUrl: string | undefined;
  /** With its password: not to be told. */
  databaseUrl: string;
  /** For what stays on this machine when the database is elsewhere. */
  dataDir: string;
  keys: Keys;
  adminKey: string | undefined;
  declared: DeclaredFile;
  catalogue: ReadonlyMap<string, Provider>;
  outboundAllow: string[];
  /** Of each caller that has none of its own; null: none. */
  rateLimit: { requests: number; window: number } | null;
  /** So many days the audit log is kept; null: for ever. */
  auditDays: number | null;
  refreshLimits: { concurrency: number; perSecond: number };
  logLevel: string;
}

/** Where the key ring comes from: only a loopback deployment may do without the environment. */
export type Keys = { from: 'environment'; keys: RingKey[] } | { from: 'file'; path: string } | { from: 'memory' };

export type Parsed = { ok: true; config: Config; warnings: string[] } | { ok: false; issues: string[] };

const DEFAULTS = {
  VALETKEY_HOST: '127.0.0.1',
  VALETKEY_PORT: '8080',
  VALETKEY_DATABASE_URL: 'file:./data/valetkey.db',
  VALETKEY_DATA_DIR: './data',
};
/** What is parsed once is parsed sooner than its parser is compiled. */
const ONCE = { jitless: true };
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

const wholeNumber = (most: number) =>
  z
    .string()
    .regex(/^\d{1,6}$/, 'a whole number')
    .transform(Number)
    .pipe(z.int().min(1).max(most));

const Environment = z.object({
  VALETKEY_HOST: z.string().min(1).default(DEFAULTS.VALETKEY_HOST),
  VALETKEY_PORT: z
    .string()
    .regex(/^\d{1,5}$/, 'a port number (in Kubernetes: set enableServiceLinks to false, or name the service otherwise)')
    .transform(Number)
    .pipe(z.int().max(65_535))
    .prefault(DEFAULTS.VALETKEY_PORT),
  VALETKEY_PUBLIC_URL: z
    .url({ protocol: /^https?$/, error: 'an http or https URL' })
    .regex(/^[^?#]*$/, 'no query and no fragment')
    .transform((u) => u.replace(/\/+$/, ''))
    .optional(),
  VALETKEY_DATABASE_URL: z
    .string()
    .regex(/^(file:.|postgres(ql)?:\/\/)/, 'file:./path/to.db, file::memory: or postgres://user:password@host/database')
    .refine(
      (url) => !url.startsWith('postgres') || URL.canParse(url),
      'a postgres:// URL, its password percent-encoded',
    )
    .default(DEFAULTS.VALETKEY_DATABASE_URL),
  VALETKEY_DATA_DIR: z.string().default(DEFAULTS.VALETKEY_DATA_DIR),
  VALETKEY_KEYS: z
    .string()
    .transform((text, context) => taken(parseKeyRing(text), context).keys)
    .optional(),
  VALETKEY_ADMIN_KEY: z.string().min(32, 'at least 32 characters').optional(),
  VALETKEY_REFRESH_CONCURRENCY: wholeNumber(1_000).prefault('32'),
  VALETKEY_REFRESH_RATE: wholeNumber(100_000).prefault('200'),
  VALETKEY_RATE_LIMIT: z
    .string()
    .regex(/^[1-9]\d{0,8}\/[1-9]\d{0,4}$/, 'requests/seconds, such as 6000/60')
    .transform((text) => {
      const [requests = 0, window = 0] = text.split('/').map(Number);
      return { requests, window };
    })
    .optional(),
  VALETKEY_AUDIT_DAYS: wholeNumber(36_500).optional(),
  VALETKEY_CONFIG: z.string().optional(),
  VALETKEY_PROVIDERS_DIR: z.string().optional(),
  VALETKEY_OUTBOUND_ALLOW: z
    .string()
    .prefault('')
    .transform((text, context) => taken(parseAllow(text), context).allow),
  VALETKEY_LOG_LEVEL: z.enum(LEVELS, { error: `one of ${LEVELS.join(', ')}` }).default('info'),
});

/** What was parsed; or nothing, and every issue of it told. */
function taken<P extends { ok: true }>(parsed: P | { ok: false; issues: string[] }, context: z.RefinementCtx): P {
  if (!('issues' in parsed)) return parsed;
  for (const message of parsed.issues) context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

/** An empty variable is one that is not set. `readFile` reads the declarative file and may throw. */
export function parseConfig(env: Record<string, string | undefined>, readFile: (path: string) => string): Parsed {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value.trim() !== ''));
  const parsed = Environment.safeParse(set, ONCE);
  const issues = parsed.success ? [] : parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`);
  const known = new Set(Object.keys(Environment.shape));
  const warnings = Object.keys(set)
    .filter((name) => name.startsWith('VALETKEY_') && !known.has(name) && !FOREIGN.test(name))
    .map((name) => `${name} is not a setting of this version and is ignored`);

  const standIn = keysWithoutSetting(set);
  if (set.VALETKEY_KEYS === undefined && standIn === undefined) issues.push(KEYS_MISSING);
  const { VALETKEY_PROVIDERS_DIR: dir, VALETKEY_CONFIG: path } = set;
  const catalogue = loadCatalogue(dir === undefined ? [] : [dir]);
  if (!catalogue.ok) issues.push(...catalogue.issues.map((issue) => `VALETKEY_PROVIDERS_DIR: ${issue}`));
  const file = path === undefined ? { declared: DeclaredFile.parse({}), issues: [] } : declaredAt(path, env, readFile);
  issues.push(...file.issues);
  if (!parsed.success || !catalogue.ok || issues.length > 0) return { ok: false, issues };
  const e = parsed.data;
  return {
    ok: true,
    warnings,
    config: {
      host: e.VALETKEY_HOST,
      port: e.VALETKEY_PORT,
      publicUrl: e.VALETKEY_PUBLIC_URL,
      databaseUrl: e.VALETKEY_DATABASE_URL,
      dataDir: e.VALETKEY_DATA_DIR,
      keys: e.VALETKEY_KEYS ? { from: 'environment', keys: e.VALETKEY_KEYS } : standIn!,
      adminKey: e.VALETKEY_ADMIN_KEY,
      declared: file.declared,
      catalogue: catalogue.providers,
      outboundAllow: e.VALETKEY_OUTBOUND_ALLOW,
      auditDays: e.VALETKEY_AUDIT_DAYS ?? null,
      rateLimit: e.VALETKEY_RATE_LIMIT ?? null,
      refreshLimits: { concurrency: e.VALETKEY_REFRESH_CONCURRENCY, perSecond: e.VALETKEY_REFRESH_RATE },
      logLevel: e.VALETKEY_LOG_LEVEL,
    },
  };
}

const KEYS_MISSING =
  'VALETKEY_KEYS: required where the public URL is not loopback; make one with: npx valetkey keys generate';

/** What stands in for `VALETKEY_KEYS`; undefined where nothing may. A URL that is none is a fault of its own. */
function keysWithoutSetting(
  set: Record<string, string | undefined>,
): Exclude<Keys, { from: 'environment' }> | undefined {
  const host = set.VALETKEY_HOST ?? DEFAULTS.VALETKEY_HOST;
  const database = set.VALETKEY_DATABASE_URL ?? DEFAULTS.VALETKEY_DATABASE_URL;
  const url = set.VALETKEY_PUBLIC_URL ?? `http://${host.includes(':') ? `[${host}]` : host}`;
  if (URL.canParse(url) && !isLoopback(new URL(url).hostname)) return undefined;
  if (database === 'file::memory:') return { from: 'memory' };
  const folder = database.startsWith('file:')
    ? dirname(database.replace(/^file:/, ''))
    : (set.VALETKEY_DATA_DIR ?? DEFAULTS.VALETKEY_DATA_DIR);
  return { from: 'file', path: join(folder, 'valetkey.keys') };
}

/** What the command line reads, and what Kubernetes sets for a service that is called valetkey. */
const FOREIGN = /^VALETKEY_(URL|KEY|SERVICE_.*|PORT_\d.*)$/;

function declaredAt(
  path: string,
  env: Record<string, string | undefined>,
  readFile: (path: string) => string,
): { declared: DeclaredFile; issues: string[] } {
  const nothing = DeclaredFile.parse({});
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { declared: nothing, issues: [`VALETKEY_CONFIG: ${path}: cannot be read (${code})`] };
  }
  const read = readDeclared(text, env);
  if (!read.ok) return { declared: nothing, issues: [`VALETKEY_CONFIG: ${path}: not valid JSON`] };
  const { unset } = read;
  const missing = unset.map(({ at, name }) => `VALETKEY_CONFIG: ${at}: \${${name}} is not set in the environment`);
  const parsed = DeclaredFile.safeParse(read.value, ONCE);
  // What is wrong with a text that could not be filled in says nothing.
  const faults = (parsed.error?.issues ?? [])
    .map(({ path: at, message }) => ({ at: at.join('.'), message }))
    .filter(({ at }) => unset.every((hole) => hole.at !== at))
    .map(({ at, message }) => `VALETKEY_CONFIG: ${at === '' ? path : at}: ${message}`);
  return { declared: parsed.data ?? nothing, issues: [...missing, ...faults] };
}
