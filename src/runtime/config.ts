// The environment, and the files that it names, parsed once. Every fault is reported, by name, at the same time.
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import type { RingKey } from '../adapters/keyring/keyring.ts';
import type { EgressProxies } from '../adapters/outbound/outbound.ts';
import { DeclaredFile } from '../api/declarative-file.ts';
import { loadCatalogue } from '../catalogue/load.ts';
import type { RecordedRefreshes } from '../domain/audit.ts';
import type { CacheSize } from '../domain/cache-bounds.ts';
import type { IpRange } from '../domain/ip-ranges.ts';
import type { Provider } from '../domain/provider.ts';
import type { SigningAlgorithm } from '../domain/signing-key.ts';
import { overlappingOwners } from '../domain/trusted-issuer.ts';
import { isLoopback } from '../domain/urls.ts';
import { readDeclared } from './declarative-file.ts';
import { checkDeployment } from './deployment-checks.ts';
import { type Env, type Environment, type ReadFile, readEnvironment } from './environment.ts';
import { defaultOf, MAX_WORKERS, parseSettings, type SettingValues } from './settings.ts';

export interface Config {
  host: string;
  port: number;
  /** Of the listener for callers and operators; undefined: the public one serves everything. */
  internalPort: number | undefined;
  /** Processes that share the ports; 1: this one alone. */
  workers: number;
  /** Undefined: `http://host:port`, known once it listens. */
  publicUrl: string | undefined;
  /** Who asks owners to connect their accounts, on pages. */
  appName: string;
  /** It may hold a password: not to be logged. */
  databaseUrl: string;
  /** The folder for what stays on this machine when the database is elsewhere. */
  dataDir: string;
  keys: Keys;
  adminKey: string | undefined;
  declared: DeclaredFile;
  catalogue: ReadonlyMap<string, Provider>;
  outboundAllow: string[];
  /** Proxies whose `Forwarded` and `X-Forwarded-For` are believed. */
  trustedProxies: readonly IpRange[];
  egress: EgressProxies;
  /** For each caller that has no limit of its own; null: no limit. `window` in seconds. */
  rateLimit: { requests: number; window: number } | null;
  tokenCache: CacheSize;
  /** Audit entries older than this are deleted; null: never. */
  auditDays: number | null;
  /** Revoked connections that have not changed for so many days are deleted; null: never. */
  tombstoneDays: number | null;
  /** Of refreshes that changed nothing but tokens, all or none have an audit entry. */
  auditRefreshes: RecordedRefreshes;
  /** Events, deliveries and received webhooks older than this are deleted. */
  eventDays: number;
  /** The algorithm of the JWTs that the broker signs, and after how many days their key is replaced. */
  signing: { algorithm: SigningAlgorithm; days: number };
  refreshLimits: { concurrency: number; perSecond: number };
  logLevel: string;
}

/** Where the key ring comes from: only a loopback deployment may leave it out of the environment. */
export type Keys = { from: 'environment'; keys: RingKey[] } | { from: 'file'; path: string } | { from: 'memory' };

export type Parsed = { ok: true; config: Config; warnings: string[] } | { ok: false; issues: string[] };

/** `readFile` reads the declarative file and the files of secrets, and may throw. */
export function parseConfig(env: Env, readFile: ReadFile): Parsed {
  const { texts: set, sourceOf, issues: unread, unknown } = readEnvironment(env, readFile);
  const parsed = parseSettings(set, sourceOf);
  const issues = parsed.ok ? unread : [...unread, ...parsed.issues];
  const warnings = unknown.map((name) => `${name} is not a setting of this version and is ignored`);

  if ((env.ALL_PROXY || env.all_proxy) && !set.HTTPS_PROXY)
    warnings.push('ALL_PROXY is not read: set HTTPS_PROXY, or requests to providers go out directly');

  const fallback = fallbackKeys(set);
  // A file of keys that cannot be read has a fault of its own.
  const hasKeys = set.VALETKEY_KEYS !== undefined || sourceOf('VALETKEY_KEYS') !== 'VALETKEY_KEYS';
  if (!hasKeys && fallback === undefined) issues.push(KEYS_MISSING);
  const { VALETKEY_PROVIDERS_DIR: dir, VALETKEY_CONFIG: path } = set;
  const catalogue = loadCatalogue(dir === undefined ? [] : [dir]);
  if (!catalogue.ok) issues.push(...catalogue.issues.map((issue) => `VALETKEY_PROVIDERS_DIR: ${issue}`));
  const file = path === undefined ? { declared: DeclaredFile.parse({}), issues: [] } : declaredAt(path, env, readFile);
  issues.push(...file.issues);
  if (parsed.ok) issues.push(...issuerIssues(file.declared, parsed.values.VALETKEY_PUBLIC_URL));
  const found = parsed.ok ? checkDeployment(parsed.values, keysOf(file.declared)) : { issues: [], warnings: [] };
  issues.push(...found.issues);
  warnings.push(...found.warnings);
  if (!parsed.ok || !catalogue.ok || issues.length > 0) return { ok: false, issues };
  const e = parsed.values;
  warnings.push(
    ...e.NO_PROXY.ignored.map((entry) => `NO_PROXY: "${entry}" is no host, address or CIDR and is ignored`),
  );
  return {
    ok: true,
    warnings: [...warnings, ...ownerWarnings(file.declared)],
    config: {
      host: e.VALETKEY_HOST,
      port: e.VALETKEY_PORT,
      internalPort: e.VALETKEY_INTERNAL_PORT,
      workers: workersOf(e.VALETKEY_WORKERS),
      publicUrl: e.VALETKEY_PUBLIC_URL,
      appName: e.VALETKEY_APP_NAME,
      databaseUrl: e.VALETKEY_DATABASE_URL,
      dataDir: e.VALETKEY_DATA_DIR,
      keys: e.VALETKEY_KEYS ? { from: 'environment', keys: e.VALETKEY_KEYS } : fallback!,
      adminKey: e.VALETKEY_ADMIN_KEY,
      declared: file.declared,
      catalogue: catalogue.providers,
      outboundAllow: e.VALETKEY_OUTBOUND_ALLOW,
      trustedProxies: e.VALETKEY_TRUSTED_PROXIES,
      egress: {
        https: e.HTTPS_PROXY,
        http: e.HTTP_PROXY,
        direct: e.NO_PROXY.entries,
        resolves: e.VALETKEY_EGRESS_RESOLVES,
      },
      tokenCache: e.VALETKEY_TOKEN_CACHE,
      auditDays: e.VALETKEY_AUDIT_DAYS,
      tombstoneDays: e.VALETKEY_TOMBSTONE_DAYS,
      auditRefreshes: e.VALETKEY_AUDIT_REFRESHES,
      eventDays: e.VALETKEY_EVENT_DAYS,
      signing: { algorithm: e.VALETKEY_SIGNING_ALG, days: e.VALETKEY_SIGNING_KEY_DAYS },
      rateLimit: e.VALETKEY_RATE_LIMIT ?? null,
      refreshLimits: { concurrency: e.VALETKEY_REFRESH_CONCURRENCY, perSecond: e.VALETKEY_REFRESH_RATE },
      logLevel: e.VALETKEY_LOG_LEVEL,
    },
  };
}

/** What the broker signs says what a session is, and only the broker knows whether it lasts: none of it is a workload's or a user's. */
const issuerIssues = ({ trusted_issuers }: DeclaredFile, publicUrl: string | undefined): string[] =>
  trusted_issuers.flatMap(({ issuer }, i) =>
    publicUrl !== undefined && issuer.replace(/\/$/, '') === publicUrl
      ? [
          `VALETKEY_CONFIG: trusted_issuers.${i}.issuer: is the public URL of this broker, whose sessions authenticate without it and are trusted for nothing else`,
        ]
      : [],
  );

const workersOf = (workers: SettingValues['VALETKEY_WORKERS']): number =>
  workers === 'auto' ? Math.min(availableParallelism(), MAX_WORKERS) : workers;

const ownerWarnings = ({ trusted_issuers }: DeclaredFile): string[] =>
  overlappingOwners(trusted_issuers).map(
    ([one, other]) =>
      `VALETKEY_CONFIG: trusted_issuers: ${one} can name the owners of ${other}: give each an owner.prefix that the other cannot form, unless they have the same users`,
  );

const KEYS_MISSING =
  'VALETKEY_KEYS: required unless the public URL is loopback; create one with: npx valetkey keys generate';

/** The keys when `VALETKEY_KEYS` is not set; undefined: it is required. A URL that does not parse has a fault of its own. */
function fallbackKeys(set: Environment['texts']): Exclude<Keys, { from: 'environment' }> | undefined {
  const host = (set.VALETKEY_HOST ?? defaultOf('VALETKEY_HOST')).replace(/^\[(.*)\]$/, '$1');
  const database = set.VALETKEY_DATABASE_URL ?? defaultOf('VALETKEY_DATABASE_URL');
  const url = set.VALETKEY_PUBLIC_URL ?? `http://${host.includes(':') ? `[${host}]` : host}`;
  if (URL.canParse(url) && !isLoopback(new URL(url).hostname)) return undefined;
  if (database === 'file::memory:') return { from: 'memory' };
  const folder = database.startsWith('file:')
    ? dirname(database.replace(/^file:/, ''))
    : (set.VALETKEY_DATA_DIR ?? defaultOf('VALETKEY_DATA_DIR'));
  return { from: 'file', path: join(folder, 'valetkey.keys') };
}

const keysOf = ({ callers }: DeclaredFile) =>
  callers.flatMap(({ name, key, keys = [] }) =>
    [key, ...keys].flatMap((one) => (one === undefined ? [] : [{ at: `caller ${name}: key`, key: one }])),
  );

function declaredAt(path: string, env: Env, readFile: ReadFile): { declared: DeclaredFile; issues: string[] } {
  const nothing = DeclaredFile.parse({});
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { declared: nothing, issues: [`VALETKEY_CONFIG: ${path}: cannot be read (${code})`] };
  }
  const read = readDeclared(text, env, readFile);
  if (!read.ok) return { declared: nothing, issues: [`VALETKEY_CONFIG: ${path}: ${read.why}`] };
  const { unset } = read;
  const missing = unset.map(({ at, why }) => `VALETKEY_CONFIG: ${at}: ${why}`);
  const parsed = DeclaredFile.safeParse(read.value, { jitless: true });
  // A text with an unset variable in it has that fault alone.
  const faults = (parsed.error?.issues ?? [])
    .map(({ path: at, message }) => ({ at: at.join('.'), message }))
    .filter(({ at }) => unset.every((hole) => hole.at !== at))
    .map(({ at, message }) => `VALETKEY_CONFIG: ${at === '' ? path : at}: ${message}`);
  return { declared: parsed.data ?? nothing, issues: [...missing, ...faults] };
}
