// Internal services, their keys, and what they may do.
import type { AgentSession } from './agent-session.ts';

export const ACTIONS = [
  'token',
  'connections:read',
  'connections:write',
  'jwt:verify',
  'proxy',
  'events',
  'sessions',
  'webhooks',
  'audit:read',
  'admin:read',
  'admin',
] as const;
export type Action = (typeof ACTIONS)[number];

/** Actions × integrations × owners × scopes. `*` matches all, a trailing `*` is a prefix, everything else is exact. */
export interface Permission {
  actions: (Action | '*')[];
  integrations: string[];
  owners: string[];
  /** The scopes that a served token, an imported connection or a requested consent may have; undefined: any. */
  scopes?: string[] | undefined;
  /** The largest `min_ttl` that may be requested, in seconds: a larger one causes more refreshes. Undefined: any. */
  max_min_ttl?: number | undefined;
  /** For `token`: how many refreshes may be forced, at the connections that it covers together. Undefined: any number. */
  max_refreshes?: RateLimit | undefined;
  /** For `proxy`: the methods that a call may have, in upper case; `GET` includes `HEAD`. Undefined: any. */
  methods?: string[] | undefined;
  /**
   * For `proxy`: paths below the API's base URL, as patterns like those of owners; `alias:/path` is a path of another host of
   * the API; `*` is all of all hosts. Normalised. Undefined: any.
   */
  paths?: string[] | undefined;
  /**
   * Of a session, for `proxy`: patterns of the tools of an MCP server that a call may use. Where it is not known which tool a call
   * uses, they do not cover it. Undefined: any.
   */
  tools?: string[] | undefined;
}

/** A workload binding: JWTs of this issuer and audience, with these claims, authenticate the caller. */
export interface Workload {
  /** `wl_…` */
  id: string;
  issuer: string;
  audience: string;
  /** At least one; each an exact value, or a prefix with `*` at its end. */
  claims: Record<string, string>;
  /** The most seconds since `iat`. Undefined: what the issuer's `max_age` says. */
  maxAge?: number | undefined;
}

/** `requests` per window. */
export interface RateLimit {
  requests: number;
  /** Seconds. */
  window: number;
}

export interface Caller {
  id: string;
  name: string;
  permissions: Permission[];
  workloads: Workload[];
  /** Null: the deployment's. */
  rateLimit: RateLimit | null;
  /** The longest that its agent sessions may last, in seconds. Null or undefined: `AGENT_SESSION_TTL_MAX_S`. */
  maxSessionTtl?: number | null | undefined;
  /** The audiences that tokens of its agent sessions may be signed for. Null or undefined: none. */
  audiences?: string[] | null | undefined;
  createdAt: number;
  /** The message authentication code of the row; null: stored before rows had one. */
  mac?: string | null | undefined;
}

/** The caller behind the admin key of the settings, which is in no table. */
export const ADMIN_ID = 'clr_admin';
/** Of the admin key itself: a session of it, which is the same caller, has fewer. */
export const ADMIN_PERMISSIONS: Permission[] = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];

export interface CallerKey {
  id: string;
  callerId: string;
  /** SHA-256, hex. The key is 256 random bits, so a fast digest is enough, and a lookup compares no secret. */
  digest: string;
  /** The first characters of the key, for people to recognise it. */
  prefix: string;
  createdAt: number;
  expiresAt: number | null;
  lastUsedAt: number | null;
  /** As of a caller. */
  mac?: string | null | undefined;
}

/** What authenticated a request. `expiresAt` in ms since the epoch; null: never. */
export type Credential =
  /** `version`: which admin key it is, as that is in no table. */
  | { kind: 'key'; id: string; expiresAt: number | null; version?: string }
  /** `id` is that of the workload binding. */
  | { kind: 'workload'; id: string; issuer: string; subject: string | null; expiresAt: number }
  /** `id` is that of the session. */
  | { kind: 'console'; id: string; expiresAt: number }
  /** An agent session; `id` is its id. `expiresAt`: when it ends, or what it was made with. */
  | { kind: 'session'; id: string; expiresAt: number };

/** The authenticated caller of a request. */
export interface Principal {
  /** Of an agent session: the caller that it is within, with what is left of its permissions. */
  caller: Pick<Caller, 'id' | 'name' | 'permissions' | 'maxSessionTtl' | 'audiences'>;
  credential: Credential;
  /** That authenticated the request. */
  session?: AgentSession | undefined;
  /** Null: none. */
  rateLimit: RateLimit | null;
}

/** What something was made with, as it is remembered: it ends with it. */
export interface MadeBy {
  callerId: string;
  /**
   * The id of the key or workload binding; of the admin key of the settings, with which one it was. What an agent session makes
   * ends with what the session was made with.
   */
  createdWith: string;
}

/** `createdWith` of what this principal makes. */
export function madeWith({ credential, session }: Pick<Principal, 'credential' | 'session'>): string {
  if (session) return session.createdWith;
  return credential.kind === 'key' && credential.version !== undefined
    ? `${credential.id}.${credential.version}`
    : credential.id;
}

/** The key among the callers' that it was made with; null: it was another kind of credential, or the admin key of the settings. */
export const keyOfMaker = ({ callerId, createdWith }: MadeBy): string | null =>
  createdWith.startsWith('key_') && callerId !== ADMIN_ID ? createdWith : null;

export const matches = (pattern: string, value: string): boolean =>
  pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : pattern === value;

const matchesAny = (patterns: readonly string[], value: string) => patterns.some((pattern) => matches(pattern, value));

/** How much a request asks for, as far as that is known. */
export interface Extent {
  /** Empty: the scopes are not known, which a permission that is limited to scopes does not cover. */
  scopes?: readonly string[] | undefined;
  minTtlMs?: number | undefined;
  /** For `proxy`. */
  proxied?: ProxiedCall | undefined;
}

/** What a call through the proxy does. */
export interface ProxiedCall {
  /** All that its server may take for the method: its own, and those that a header puts in its place. */
  methods: readonly string[];
  /** Normalised: below the base URL, after the alias of another host and a colon where it goes to one. */
  path: string;
  /** A header names another resource beside it, which may be any of the API. */
  namesOther?: boolean | undefined;
  /** Of an MCP server. Undefined: it is not known which, if any. */
  tool?: string | undefined;
}

/** Who may change something may also read it. */
export const hasAction = ({ actions }: Pick<Permission, 'actions'>, action: Action | '*'): boolean =>
  actions.includes('*') || actions.includes(action) || (action === 'admin:read' && actions.includes('admin'));

const covers = (g: Permission, action: Action, integration: string, owner: string): boolean =>
  hasAction(g, action) && matchesAny(g.integrations, integration) && matchesAny(g.owners, owner);

const NONE: readonly string[] = [];

const uncoveredScopes = ({ scopes: allowed }: Permission, scopes: readonly string[] | undefined): readonly string[] => {
  if (allowed === undefined || scopes === undefined || allowed.includes('*')) return NONE;
  return scopes.length === 0 ? ['*'] : scopes.filter((scope) => !matchesAny(allowed, scope));
};

const exceedsMinTtl = ({ max_min_ttl: most }: Permission, minTtlMs: number | undefined): boolean =>
  most !== undefined && minTtlMs !== undefined && minTtlMs > most * 1_000;

const uncoveredMethod = ({ methods: allowed }: Permission, call: ProxiedCall | undefined): string | undefined => {
  if (allowed === undefined || call === undefined || allowed.includes('*')) return undefined;
  return call.methods.find((one) => !allowed.includes(one) && !(one === 'HEAD' && allowed.includes('GET')));
};

const uncoveredPath = ({ paths: allowed }: Permission, call: ProxiedCall | undefined): string | undefined => {
  if (allowed === undefined || call === undefined || allowed.includes('*')) return undefined;
  if (!matchesAny(allowed, call.path)) return call.path;
  return call.namesOther ? '*' : undefined;
};

const coversTool = ({ tools: allowed }: Permission, call: ProxiedCall | undefined): boolean =>
  allowed === undefined || call === undefined || (call.tool !== undefined && matchesAny(allowed, call.tool));

/** The permissions that cover the action on this integration and owner, with their places in the list. */
export const permissionsFor = (
  permissions: readonly Permission[],
  action: Action,
  integration: string,
  owner: string,
): { permission: Permission; index: number }[] =>
  permissions
    .map((permission, index) => ({ permission, index }))
    .filter(({ permission }) => covers(permission, action, integration, owner));

/** Whether a single permission covers the action on this integration and owner. `admin` is an action like the others. */
export const allows = (
  permissions: readonly Permission[],
  action: Action,
  integration: string,
  owner: string,
  extent?: Extent,
): boolean =>
  permissions.some(
    (g) =>
      covers(g, action, integration, owner) &&
      !exceedsMinTtl(g, extent?.minTtlMs) &&
      uncoveredScopes(g, extent?.scopes).length === 0 &&
      uncoveredMethod(g, extent?.proxied) === undefined &&
      uncoveredPath(g, extent?.proxied) === undefined &&
      coversTool(g, extent?.proxied),
  );

/** Through these, a caller may know of an integration and its owners. A verification of a JWT concerns neither. */
const KNOWING: ReadonlySet<Permission['actions'][number]> = new Set<Permission['actions'][number]>([
  ...ACTIONS.filter((action) => action !== 'jwt:verify'),
  '*',
]);

/**
 * Whether any permission concerns this integration and owner, whatever its action and extent. What none touches does not
 * exist for the caller. `*` as integration or owner: any of them.
 */
export const touches = (permissions: readonly Permission[], integration: string, owner: string): boolean =>
  permissions.some(
    (g) =>
      g.actions.some((action) => KNOWING.has(action)) &&
      (integration === '*' ? g.integrations.length > 0 : matchesAny(g.integrations, integration)) &&
      (owner === '*' ? g.owners.length > 0 : matchesAny(g.owners, owner)),
  );

/** What would have to be added to the permission that comes closest. */
export interface MissingPermission {
  action: Action | '*';
  integration: string;
  owner: string;
  /** The scopes that are not covered, if everything else is. `*`: the scopes are not known. */
  scopes?: readonly string[];
  /** Seconds. */
  min_ttl?: number;
  /** Of a call through the proxy. */
  method?: string;
  /** Of a call through the proxy: normalised. */
  path?: string;
  /** Of an MCP server. `*`: it is not known which tool a call uses. */
  tool?: string;
  /** For which the caller's sessions may have no signed tokens. */
  audience?: string;
}

/** Undefined: allowed. */
export function missingPermission(
  permissions: readonly Permission[],
  action: Action,
  integration: string,
  owner: string,
  extent: Extent = {},
): MissingPermission | undefined {
  if (allows(permissions, action, integration, owner, extent)) return undefined;
  const missing = { action, integration, owner };
  const closest = permissions
    .filter((g) => covers(g, action, integration, owner))
    .map((g) => ({
      scopes: uncoveredScopes(g, extent.scopes),
      tooLong: exceedsMinTtl(g, extent.minTtlMs),
      method: uncoveredMethod(g, extent.proxied),
      path: uncoveredPath(g, extent.proxied),
      tool: coversTool(g, extent.proxied) ? undefined : (extent.proxied?.tool ?? '*'),
    }))
    .sort((a, b) => lackOf(a) - lackOf(b))[0];
  return {
    ...missing,
    ...(closest && closest.scopes.length > 0 && { scopes: closest.scopes }),
    ...(closest?.tooLong && { min_ttl: Math.ceil(extent.minTtlMs! / 1_000) }),
    ...(closest?.method !== undefined && { method: closest.method }),
    ...(closest?.path !== undefined && { path: closest.path }),
    ...(closest?.tool !== undefined && { tool: closest.tool }),
  };
}

interface Lack {
  scopes: readonly string[];
  tooLong: boolean;
  method: string | undefined;
  path: string | undefined;
  tool: string | undefined;
}

/** How far a permission is from covering a request: scopes first, since a grant has to be widened for each. */
const lackOf = ({ scopes, tooLong, method, path, tool }: Lack): number =>
  (scopes.length + Number(tool !== undefined)) * 8 +
  Number(path !== undefined) * 4 +
  Number(method !== undefined) * 2 +
  Number(tooLong);

/** The integrations and owners that permissions cover for an action: what a list may show. */
export interface Scope {
  integrations: string[];
  owners: string[];
}

export const scopesOf = (permissions: readonly Permission[], action: Action): Scope[] =>
  permissions.filter((g) => hasAction(g, action)).map(({ integrations, owners }) => ({ integrations, owners }));
