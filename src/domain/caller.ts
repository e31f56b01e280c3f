// Internal services, their keys, and what they may do.

export const ACTIONS = ['token', 'connections:read', 'connections:write', 'jwt:verify', 'proxy', 'admin'] as const;
export type Action = (typeof ACTIONS)[number];

/** Actions × integrations × owners × scopes. `*` matches all, a trailing `*` is a prefix, everything else is exact. */
export interface Permission {
  actions: (Action | '*')[];
  integrations: string[];
  owners: string[];
  /** What a token served, a connection imported or a consent asked for may comprise; undefined: whatever it does. */
  scopes?: string[] | undefined;
  /** Seconds that may be asked for as `min_ttl`, since each one more has tokens refreshed sooner; undefined: any. */
  max_min_ttl?: number | undefined;
}

/** A workload identity: tokens of this issuer and audience, with these claims, stand for the caller. */
export interface Workload {
  /** `wl_…` */
  id: string;
  issuer: string;
  audience: string;
  /** At least one; each an exact value, or a prefix with `*` at its end. */
  claims: Record<string, string>;
}

/** So many requests in each window of so many seconds. */
export interface RateLimit {
  requests: number;
  window: number;
}

export interface Caller {
  id: string;
  name: string;
  permissions: Permission[];
  workloads: Workload[];
  /** Null: the deployment's. */
  rateLimit: RateLimit | null;
  createdAt: number;
}

export interface CallerKey {
  id: string;
  callerId: string;
  /** SHA-256, hex. The key is 256 random bits, so a fast digest is enough, and a lookup compares nothing secret. */
  digest: string;
  /** The first characters of the key, to recognise it by. */
  prefix: string;
  createdAt: number;
  expiresAt: number | null;
  lastUsedAt: number | null;
}

/** What a request was authenticated by. `expiresAt` in milliseconds; null: it does not. */
export type Credential =
  | { kind: 'key'; id: string; expiresAt: number | null }
  /** `id` is the binding's. */
  | { kind: 'workload'; id: string; issuer: string; subject: string | null; expiresAt: number };

/** A caller as one request presents it. */
export interface Principal {
  caller: Pick<Caller, 'id' | 'name' | 'permissions'>;
  credential: Credential;
  /** Null: none. */
  rateLimit: RateLimit | null;
}

export const matches = (pattern: string, value: string): boolean =>
  pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : pattern === value;

const within = (patterns: readonly string[], value: string) => patterns.some((pattern) => matches(pattern, value));

/** What an action comprises, as far as it is known. */
export interface Extent {
  /** None: it is not known what the token may do, which a grant that names scopes does not cover. */
  scopes?: readonly string[] | undefined;
  minTtlMs?: number | undefined;
}

const covers = (g: Permission, action: Action, integration: string, owner: string): boolean =>
  (g.actions.includes('*') || g.actions.includes(action)) &&
  within(g.integrations, integration) &&
  within(g.owners, owner);

const NONE: readonly string[] = [];

const beyond = ({ scopes: allowed }: Permission, scopes: readonly string[] | undefined): readonly string[] => {
  if (allowed === undefined || scopes === undefined || allowed.includes('*')) return NONE;
  return scopes.length === 0 ? ['*'] : scopes.filter((scope) => !within(allowed, scope));
};

const isLonger = ({ max_min_ttl: most }: Permission, minTtlMs: number | undefined): boolean =>
  most !== undefined && minTtlMs !== undefined && minTtlMs > most * 1_000;

/** Whether one grant alone covers the action on this integration and owner. `admin` is a right like the others. */
export const allows = (
  grants: readonly Permission[],
  action: Action,
  integration: string,
  owner: string,
  extent?: Extent,
): boolean =>
  grants.some(
    (g) =>
      covers(g, action, integration, owner) && !isLonger(g, extent?.minTtlMs) && beyond(g, extent?.scopes).length === 0,
  );

/** The grant that is not there: what would have to be added to the one that comes nearest. */
export interface MissingPermission {
  action: Action;
  integration: string;
  owner: string;
  /** Those that no grant covers, where all else is covered. `*`: the scopes are not known. */
  scopes?: readonly string[];
  /** Seconds. */
  min_ttl?: number;
}

/** Undefined: allowed. */
export function missingPermission(
  grants: readonly Permission[],
  action: Action,
  integration: string,
  owner: string,
  extent: Extent = {},
): MissingPermission | undefined {
  if (allows(grants, action, integration, owner, extent)) return undefined;
  const missing = { action, integration, owner };
  const lacking = grants
    .filter((g) => covers(g, action, integration, owner))
    .map((g) => ({ scopes: beyond(g, extent.scopes), tooLong: isLonger(g, extent.minTtlMs) }))
    .sort((a, b) => a.scopes.length - b.scopes.length || Number(a.tooLong) - Number(b.tooLong))[0];
  return {
    ...missing,
    ...(lacking && lacking.scopes.length > 0 && { scopes: lacking.scopes }),
    ...(lacking?.tooLong && { min_ttl: Math.ceil(extent.minTtlMs! / 1_000) }),
  };
}

/** The integrations × owners that the grants open for an action: what a list may show. */
export interface Scope {
  integrations: string[];
  owners: string[];
}

export const scopesOf = (grants: readonly Permission[], action: Action): Scope[] =>
  grants
    .filter((g) => g.actions.includes('*') || g.actions.includes(action))
    .map(({ integrations, owners }) => ({ integrations, owners }));
