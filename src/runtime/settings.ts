// Every environment variable of the broker, one row each: the parser reads it, docs/configuration.md and .env.example are
// generated from it.
import { z } from 'zod';
import { parseKeyRing } from '../adapters/keyring/keyring.ts';
import { parseAllow, parseNoProxy, parseProxyUrl } from '../adapters/outbound/outbound.ts';
import { parseIp, parseTrustedProxies } from '../domain/ip-ranges.ts';
import { SIGNING_ALGORITHMS } from '../domain/signing-key.ts';
import { basePath } from '../domain/urls.ts';

interface Setting {
  /** From the text of the variable. Its messages must not repeat a secret. */
  parser: z.ZodType<unknown, string>;
  /** The text that is parsed when the variable is not set. Without one, the setting is undefined then. */
  default?: string;
  /** What takes effect when it is not set and has no default, in words. */
  without: string;
  /** Markdown, whole sentences. */
  description: string;
  /** Not to be logged or shown. May come from the file that `NAME_FILE` names. */
  secret?: true;
  /** Another variable that is read if this one is not set. */
  alias?: string;
  /** For `.env.example`, where there is no default. */
  example?: string;
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

const wholeNumber = (most: number, wanted = `a whole number from 1 to ${most}`) =>
  z
    .string()
    .regex(/^\d{1,6}$/, wanted)
    .transform(Number)
    .pipe(z.int().min(1, wanted).max(most, wanted));

const daysOrForever = (most: number) => {
  const error = `a whole number of days from 1 to ${most}, or forever`;
  return z.union([z.literal('forever').transform(() => null), wholeNumber(most, error)], { error });
};

const portNumber = z
  .string()
  .regex(
    /^\d{1,5}$/,
    'a port number (in Kubernetes: set enableServiceLinks to false, or give the service another name)',
  )
  .transform(Number)
  .pipe(z.int().max(65_535, 'a port number, at most 65535'));

/** The value of a parser that reports its own issues. */
function valueOrIssues<P extends { ok: true }>(
  parsed: P | { ok: false; issues: string[] },
  context: z.RefinementCtx,
): P {
  if (!('issues' in parsed)) return parsed;
  for (const message of parsed.issues) context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

/** The first segments of the broker's own paths. A public URL below one of them would be ambiguous. */
const OWN_PATHS = [
  ...['v1', 'oauth2', 'connect', 'webhooks', 'signals', 'logout', 'console', '.well-known'],
  ...['assets', 'docs', 'openapi.json', 'healthz', 'readyz', 'metrics'],
];
/** More than one for each core is of no use, and each has a cache and a pool of its own. */
export const MAX_WORKERS = 64;
const WORKERS_WANTED = `a whole number from 1 to ${MAX_WORKERS}, or auto`;
const MAX_NAME = 60;
const NAME_WANTED = `1 to ${MAX_NAME} characters`;
const PLAIN_PATH = /^(?:\/[\w.~-]+)*$/;

export const SETTINGS = {
  VALETKEY_HOST: {
    parser: z
      .string()
      .transform((host) => host.replace(/^\[(.*)\]$/, '$1'))
      .refine(
        (host) => parseIp(host) !== undefined || /^(?=.*[a-z])[a-z0-9._-]{1,253}$/i.test(host),
        'an IP address or a host name of this machine, without a scheme and a port',
      ),
    default: '127.0.0.1',
    without: '',
    description: 'The address to listen on.',
  },
  VALETKEY_PORT: {
    parser: portNumber,
    default: '8080',
    without: '',
    description:
      'The port to listen on; `0` picks a free one. Without it, the port in `PORT`, which many platforms set. When the broker is ready it logs one JSON line with `"event":"listening"` and `"url"`.',
    alias: 'PORT',
  },
  VALETKEY_INTERNAL_PORT: {
    parser: portNumber,
    without: 'none: `VALETKEY_PORT` serves everything',
    description:
      'A second port, at the same address, for callers and operators: it serves everything. `VALETKEY_PORT` then serves only what browsers, providers and senders of events need ([the list](operations.md#two-ports)), and can be published as it is; all else is 404 there. `0` picks a free one; the line with `"event":"listening"` then has `"internal_url"` too.',
    example: '8081',
  },
  VALETKEY_WORKERS: {
    parser: z.union([z.literal('auto'), wholeNumber(MAX_WORKERS, WORKERS_WANTED)], { error: WORKERS_WANTED }),
    default: '1',
    without: '',
    description:
      'The worker processes that share the port, under one supervisor, so that more than one core is used ([workers](operations.md#workers)); `auto` is one for each core that the process may use. `1` is a single process. What is said to be per process is per worker: connections of the PostgreSQL pool, refreshes in flight, the token cache.',
  },
  VALETKEY_PUBLIC_URL: {
    parser: z
      .url({ protocol: /^https?$/, error: 'an http or https URL' })
      .regex(/^[^?#]*$/, 'no query and no fragment')
      .refine((url) => !URL.canParse(url) || new URL(url).username === '', 'no user name and no password')
      .transform((url) => url.replace(/\/+$/, ''))
      .refine((url) => !URL.canParse(url) || PLAIN_PATH.test(basePath(url)), 'a path of letters, digits and . _ ~ -')
      .refine(
        (url) => !URL.canParse(url) || !OWN_PATHS.includes(basePath(url).split('/')[1] ?? ''),
        `a path that does not begin like one of the broker's own (/${OWN_PATHS.join(', /')})`,
      ),
    without: '`http://HOST:PORT`',
    description:
      'The URL that browsers and providers see. Redirect URIs are built on it. It may have a path: requests are served with and without it, so that a proxy may strip it or not.',
    example: 'https://keys.example.com',
  },
  VALETKEY_APP_NAME: {
    parser: z
      .string()
      .trim()
      .min(1, NAME_WANTED)
      .max(MAX_NAME, NAME_WANTED)
      .regex(/^\P{C}*$/u, 'without control characters'),
    default: 'Valetkey',
    without: '',
    description:
      'The name of your app on the pages that owners see: the page of a connect link says that it asks for their account.',
    example: 'Acme',
  },
  VALETKEY_DATABASE_URL: {
    parser: z
      .string()
      .regex(
        /^(file:.|postgres(ql)?:\/\/)/,
        'file:./path/to.db, file::memory: or postgres://user:password@host/database',
      )
      .refine(
        (url) => !url.startsWith('postgres') || URL.canParse(url),
        'a postgres:// URL, its password percent-encoded',
      ),
    default: 'file:./data/valetkey.db',
    without: '',
    description:
      'The database. `file:PATH` is an embedded SQLite file (`file::memory:` for tests), `postgres://USER:PASSWORD@HOST:PORT/DATABASE` is PostgreSQL, for any number of replicas. Options of a PostgreSQL URL: `sslmode=verify-full` and `sslrootcert=PATH`; `pool=10`, the connections of each replica (it opens two more, for change notifications and for signs of life); `prepare=false` behind a pooler in transaction mode that does not support named statements.',
    secret: true,
  },
  VALETKEY_DATA_DIR: {
    parser: z.string(),
    default: './data',
    without: '',
    description:
      'With PostgreSQL, the folder for what stays on this machine: the rescue file (answers of providers that the database could not take), what was revoked within the last hour, and the development key file. With SQLite the first and the last lie beside the database.',
  },
  VALETKEY_KEYS: {
    parser: z.string().transform((text, context) => valueOrIssues(parseKeyRing(text), context).keys),
    without: 'a key file, on loopback only',
    description:
      'The key ring: `kid:base64url-of-32-bytes`, comma-separated. The first key encrypts, every key decrypts. `npx valetkey keys generate` prints one. It may be left out only while the public URL is loopback: then a key file (mode 0600) is created beside a new database, or in `VALETKEY_DATA_DIR`, and a warning is logged.',
    secret: true,
  },
  VALETKEY_ADMIN_KEY: {
    parser: z.string().min(32, 'at least 32 characters'),
    without: 'none',
    description: 'A caller key with every permission, for the first set-up; at least 32 characters.',
    secret: true,
  },
  VALETKEY_CONFIG: {
    parser: z.string(),
    without: 'none',
    description: `A JSON file of integrations, callers, trusted issuers, return origins, who may use the console, and the look of the connect pages, applied at start. It takes secrets from the environment as \`\${ENV_NAME}\`: [declarative-file.md](declarative-file.md).`,
    example: './valetkey.json',
  },
  VALETKEY_PROVIDERS_DIR: {
    parser: z.string(),
    without: 'none',
    description:
      'A folder with more catalogue entries. They replace built-in ones of the same id: [providers.md](providers.md).',
    example: './providers',
  },
  VALETKEY_OUTBOUND_ALLOW: {
    parser: z.string().transform((text, context) => valueOrIssues(parseAllow(text), context).allow),
    default: '',
    without: 'none',
    description:
      'Hosts or CIDRs, comma-separated, that may be reached over plain http or at a private or loopback address. Everything else is https to public addresses.',
    example: 'idp.internal,10.20.0.0/16',
  },
  VALETKEY_TRUSTED_PROXIES: {
    parser: z.string().transform((text, context) => valueOrIssues(parseTrustedProxies(text), context).ranges),
    default: '',
    without: 'none',
    description:
      "Addresses or CIDRs, comma-separated, of the proxies in front of the broker. Of these, `Forwarded` or `X-Forwarded-For` is believed: the right-most address that is not one of them is the client's, in the audit log, the logs and the limit of failed authentications. List the proxies only, not the network of the callers.",
    example: '10.0.0.0/8',
  },
  HTTPS_PROXY: {
    parser: z.string().transform((text, context) => valueOrIssues(parseProxyUrl(text), context).url),
    without: 'none',
    description:
      'The HTTP proxy for outbound https: `http://USER:PASSWORD@HOST:PORT`, or `https://…` for TLS to the proxy. Also as `https_proxy`. The broker asks it for tunnels (CONNECT): [egress through a proxy](operations.md#egress-through-a-proxy).',
    secret: true,
    alias: 'https_proxy',
    example: 'http://proxy.internal:3128',
  },
  HTTP_PROXY: {
    parser: z.string().transform((text, context) => valueOrIssues(parseProxyUrl(text), context).url),
    without: 'none',
    description:
      'The same for outbound http, which only hosts in `VALETKEY_OUTBOUND_ALLOW` are asked with. Also as `http_proxy`.',
    secret: true,
    alias: 'http_proxy',
    example: 'http://proxy.internal:3128',
  },
  NO_PROXY: {
    parser: z.string().transform((text) => parseNoProxy(text)),
    default: '',
    without: 'none',
    description:
      'What is reached without a proxy, comma-separated: hosts (`example.com`, with all names below it; `*.example.com`, only those), addresses, CIDRs (for addresses in URLs), `*` for everything; each with or without a port. Also as `no_proxy`.',
    alias: 'no_proxy',
    example: 'idp.internal,10.0.0.0/8',
  },
  VALETKEY_EGRESS_RESOLVES: {
    parser: z.enum(['broker', 'proxy'], { error: 'broker or proxy' }),
    default: 'broker',
    without: '',
    description:
      'Who resolves host names where there is a proxy. `broker`: names are resolved and judged here, and the proxy is asked for the address. `proxy`: it is asked for the name, and must itself keep the broker from reaching internal addresses.',
  },
  VALETKEY_REFRESH_CONCURRENCY: {
    parser: wholeNumber(1_000),
    default: '32',
    without: '',
    description: 'The refreshes of one integration that may be in flight at once, in each process.',
  },
  VALETKEY_REFRESH_RATE: {
    parser: wholeNumber(100_000),
    default: '200',
    without: '',
    description: 'The refreshes of one integration per second, over all processes.',
  },
  VALETKEY_RATE_LIMIT: {
    parser: z
      .string()
      .regex(/^[1-9]\d{0,8}\/[1-9]\d{0,4}$/, 'requests/seconds, such as 6000/60')
      .transform((text) => {
        const [requests = 0, window = 0] = text.split('/').map(Number);
        return { requests, window };
      }),
    without: 'no limit',
    description: '`requests/seconds` for each caller that has no `rate_limit` of its own.',
    example: '6000/60',
  },
  VALETKEY_TOKEN_CACHE: {
    parser: z
      .string()
      .regex(/^[1-9]\d{0,6}(MB)?$/, 'a number of tokens, such as 50000, or of megabytes, such as 200MB')
      .transform((text) =>
        text.endsWith('MB') ? { bytes: Number.parseInt(text, 10) * 1e6 } : { entries: Number(text) },
      ),
    default: '50000',
    without: '',
    description:
      'How many tokens each process keeps in memory, for ten minutes at most: a number, or `200MB`, the memory that they may take ([sizing](operations.md#sizing)). What is not in memory is read from the database; while the cache is full, it comes in when it is read for the second time.',
  },
  VALETKEY_AUDIT_DAYS: {
    parser: daysOrForever(36_500),
    default: '400',
    without: '',
    description: 'The number of days that audit entries are stored, or `forever`.',
  },
  VALETKEY_AUDIT_REFRESHES: {
    parser: z.enum(['changes', 'all'], { error: 'changes or all' }),
    default: 'changes',
    without: '',
    description:
      'Which refreshes the audit log has an entry of: `changes` (failures, the first success after one, and those that changed scopes, the account or captured values; the others are counted), or `all`, which is most of what a large deployment stores.',
  },
  VALETKEY_TOMBSTONE_DAYS: {
    parser: daysOrForever(36_500),
    default: '400',
    without: '',
    description:
      'The number of days that a revoked connection is still shown as `revoked`, or `forever`. Then its row is deleted, and its id answers 404; its audit entries stay as long as others.',
  },
  VALETKEY_EVENT_DAYS: {
    parser: wholeNumber(3_650),
    default: '30',
    without: '',
    description: 'The number of days that events, their deliveries and received webhooks are stored.',
  },
  VALETKEY_SIGNING_ALG: {
    parser: z.enum(SIGNING_ALGORITHMS, { error: `one of ${SIGNING_ALGORITHMS.join(', ')}` }),
    default: 'ES256',
    without: '',
    description: `The algorithm of the JWTs that the broker signs ([signing keys](operations.md#signing-keys)): ${SIGNING_ALGORITHMS.map((alg) => `\`${alg}\``).join(', ')}. \`EdDSA\` is the older name of \`Ed25519\`, for verifiers that do not know the new one. If it is changed, the next key has the new one.`,
  },
  VALETKEY_SIGNING_KEY_DAYS: {
    parser: wholeNumber(3_650),
    default: '30',
    without: '',
    description: 'After so many days, the key that signs JWTs is replaced by a new one.',
  },
  VALETKEY_LOG_LEVEL: {
    parser: z.enum(LEVELS, { error: `one of ${LEVELS.join(', ')}` }),
    default: 'info',
    without: '',
    description: `One of ${LEVELS.map((level) => `\`${level}\``).join(', ')}.`,
  },
} as const satisfies Record<string, Setting>;

type Settings = typeof SETTINGS;
export type SettingName = keyof Settings;

/** What each variable means: undefined where it is not set and has no default. */
export type SettingValues = {
  [N in SettingName]: z.output<Settings[N]['parser']> | (Settings[N] extends { default: string } ? never : undefined);
};

/** The row with all of its optional parts. */
export const settingOf = (name: SettingName): Setting => SETTINGS[name];

export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

/** The default of a setting that has one, as text. */
export const defaultOf = (
  name: { [N in SettingName]: Settings[N] extends { default: string } ? N : never }[SettingName],
) => SETTINGS[name].default;

/** What is parsed once is parsed sooner than its parser is compiled. */
const ONCE = { jitless: true };

const ENVIRONMENT = z.object(
  Object.fromEntries(
    SETTING_NAMES.map((name) => {
      const { parser, default: text } = settingOf(name);
      return [name, text === undefined ? parser.optional() : parser.prefault(text)];
    }),
  ),
);

/** Every fault of every setting, by the name of the variable that it was read from. */
export function parseSettings(
  texts: Partial<Record<SettingName, string>>,
  sourceOf: (name: string) => string,
): { ok: true; values: SettingValues } | { ok: false; issues: string[] } {
  const parsed = ENVIRONMENT.safeParse(texts, ONCE);
  if (parsed.success) return { ok: true, values: parsed.data as SettingValues };
  return {
    ok: false,
    issues: parsed.error.issues.map(({ path, message }) => `${sourceOf(path.join('.'))}: ${message}`),
  };
}
